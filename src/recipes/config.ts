/** The whole configuration: its sections, each declared beside what it configures. */
import { z } from "zod";
import { dataConfig } from "../data/config.js";
import { evaluationConfig } from "../evaluate/config.js";
import { encoderConfig } from "../models/encoders/config.js";
import { trainingConfig } from "../train/config.js";
import { finetuneConfig } from "./finetune/config.js";
import { pretrainLmConfig } from "./pretrain-lm/config.js";
import { sweepConfig } from "./sweep-config.js";

export const configSchema = z
  .strictObject({
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(0)
      .meta({
        description: "What every random choice starts from.",
        "x-env": "USER_LLM_SEED",
      }),
    data: dataConfig
      .prefault({})
      .describe("Raw data, the prepared folder, and how it is cut and fed."),
    encoder: encoderConfig.prefault({}).describe("The model of users that stage 1 trains."),
    pretrain: trainingConfig.prefault({}).describe("How the encoder is trained."),
    evaluate: evaluationConfig.prefault({}).describe("How rankings are measured."),
    pretrainLm: pretrainLmConfig
      .optional()
      .describe("A language model that is trained from scratch, with its tokenizer."),
    finetune: finetuneConfig
      .optional()
      .describe("A language model that goes on learning, in part or in full."),
    sweep: sweepConfig.optional().describe("Options to search for, and how."),
  })
  .meta({
    title: "Configuration of user-llm",
  });

export type Config = z.output<typeof configSchema>;
