/** What pretraining, planning and evaluation have in common: data, its split, an encoder and what makes its steps. */
import { Loader } from "../data/loader/loader.js";
import { PreparedData } from "../data/prepared/prepared-data.js";
import { type Split, split } from "../data/windows/split.js";
import { ConfigError } from "../errors.js";
import {
  type EncoderData,
  type EncoderFamily,
  featureNamesOf,
  makeEncoder,
  type UserEncoder,
} from "../models/index.js";
import { seed } from "../ops/index.js";
import type { Optimizer } from "../optim/index.js";
import type { LongCall } from "../progress.js";
import type { Config } from "./config.js";
import { encoderDataOf, trainingDataOf } from "./encoder-data.js";
import { countSteps, makeOptimizer, makeSchedule } from "./make-optimizer.js";

export interface StageOneOptions extends LongCall {
  /** Encoders of your own, for `encoder.kind: custom`. */
  readonly custom?: readonly EncoderFamily[] | undefined;
}

/** Everything that stage 1 trains with; disposing it frees all of it. */
export interface StageOne extends Disposable {
  readonly data: PreparedData;
  readonly split: Split;
  readonly encoderData: EncoderData;
  readonly encoder: UserEncoder;
  readonly optimizer: Optimizer;
  /** Training batches without end. */
  readonly batches: Loader;
  /** Optimizer steps of an epoch. */
  readonly stepsPerEpoch: number;
  /** Optimizer steps of the whole training. */
  readonly steps: number;
  /** Of a step, from 0 on. */
  learningRate(step: number): number;
}

/**
 * Opens the data, splits it and makes an encoder with initial values.
 *
 * @throws ConfigError, UsageError when options do not go together
 * @throws DataError when the data is not there, or too short for the split
 */
export async function openStageOne(
  config: Config,
  { custom, ...longCall }: StageOneOptions = {},
): Promise<StageOne> {
  const { data: section, encoder: encoderOptions, pretrain } = config;
  if (section.out === undefined) throw new ConfigError("data.out is missing: the prepared folder");
  const data = await PreparedData.open(section.out);
  let encoder: UserEncoder | undefined;
  try {
    const parts = await split(data, { ...section.split, ...longCall });
    const { length } = section.split;
    const encoderData = encoderDataOf(data, length, featureNamesOf(encoderOptions));
    const trainingData = await trainingDataOf(data, parts.train, longCall);
    seed(config.seed);
    encoder = makeEncoder(encoderOptions, encoderData, { custom, trainingData });
    const batches = new Loader(data, parts.train, {
      ...section.loader,
      features: encoder.features.map(({ name }) => name),
      shuffle: true,
      seed: config.seed,
      epochs: Number.POSITIVE_INFINITY,
      signal: longCall.signal,
    });
    const optimizer = makeOptimizer(encoder, pretrain);
    const { stepsPerEpoch, steps } = countSteps(pretrain, batches.batches);
    return {
      ...{ data, split: parts, encoderData, encoder, optimizer, batches, stepsPerEpoch, steps },
      learningRate: makeSchedule(pretrain, steps),
      [Symbol.dispose]() {
        optimizer.dispose();
        encoder?.dispose();
        data.close();
      },
    };
  } catch (error) {
    encoder?.dispose();
    data.close();
    throw error;
  }
}
