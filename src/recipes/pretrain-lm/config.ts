/** The section `pretrainLm` of a configuration: a language model from scratch, and its tokenizer. */
import { z } from "zod";
import { languageTrainingConfig } from "../../train/language/config.js";

const whole = (least: number) => z.int().min(least);
const paths = z.array(z.string().min(1)).min(1).meta({ "x-expects": "a list that is not empty" });

const texts = z.strictObject({
  files: paths.describe(
    "Files, folders and patterns as `stories/**/*.txt`: plain text or JSON lines, also in gzip.",
  ),
  field: z.string().min(1).default("text").describe("Of JSON lines: the field with the text."),
  separator: z
    .string()
    .min(1)
    .optional()
    .describe("Of plain text: what stands between documents; else a file is one."),
  validationFiles: paths
    .optional()
    .describe("Texts to validate on; else some of the documents are held out."),
  heldOut: whole(2)
    .nullable()
    .default(100)
    .describe("One document of so many is held out, the first among them; `null` for none."),
});

const tokenizer = z.strictObject({
  folder: z
    .string()
    .min(1)
    .optional()
    .describe("A tokenizer that is there already; else one is learnt from the training texts."),
  vocabulary: whole(257).default(8192).describe("Most tokens of one that is learnt."),
  minFrequency: whole(1)
    .default(2)
    .describe("How often a pair has to come to become a token of one that is learnt."),
  endToken: z
    .string()
    .min(1)
    .default("<|endoftext|>")
    .describe("Stands before and after every document, of one that is learnt."),
});

const model = z.strictObject({
  width: whole(1).default(256).describe("Of a token's vector between the layers."),
  layers: whole(1).default(6).describe("Transformer blocks."),
  heads: whole(1).default(8).describe("Attention heads of a layer."),
  kvHeads: whole(1)
    .optional()
    .describe("Heads of keys and values, which query heads share; else as many as `heads`."),
  hiddenWidth: whole(1)
    .optional()
    .describe("Inside the MLP; else 8/3 of the width, to the next multiple of 32."),
  context: whole(1)
    .default(1024)
    .describe("Tokens of a training window, and what the model is made for."),
  ropeBase: z.number().positive().default(10_000).describe("Base of the rotary positions."),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("Of embeddings, attention and what the blocks add, while training."),
  precision: z
    .enum(["float32", "bfloat16"])
    .default("float32")
    .describe("Of matrix products; weights are float32."),
});

const samples = z.strictObject({
  prompt: z.string().default("").describe("What the model goes on from; else a document begins."),
  tokens: whole(0).default(40).describe("Tokens of a sample at most; 0 for none."),
  temperature: z
    .number()
    .min(0)
    .default(0.7)
    .describe("Divides the logits before a token is drawn; 0 takes the most probable one."),
});

export const pretrainLmConfig = z.strictObject({
  texts: texts.describe("What is learnt, and what is validated on."),
  tokenizer: tokenizer.prefault({}).describe("What texts are cut into."),
  model: model.prefault({}).describe("A decoder of Llama's architecture, with a tied head."),
  training: languageTrainingConfig
    .extend({
      batchTokens: whole(1)
        .default(8192)
        .describe("Most inputs of a batch, which has as many windows as fit."),
      validateEvery: z.number().positive().default(0.1).describe("Epochs between two validations."),
    })
    .prefault({})
    .describe("How the model is trained."),
  samples: samples
    .prefault({})
    .describe("What the model writes after each validation, for people."),
});

export type PretrainLmConfig = z.output<typeof pretrainLmConfig>;
