/** Small prepared data and encoders for it, saved; nothing of it is trained. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { PreparedData, prepareSynthetic, type SyntheticOptions } from "../../src/data/index.js";
import { Generator } from "../../src/index.js";
import {
  type EncoderFamily,
  type EncoderOptions,
  featureNamesOf,
  makeEncoder,
  type UserEncoder,
} from "../../src/models/index.js";
import { type EncoderCard, saveEncoder } from "../../src/recipes/encoder-bundle/index.js";
import { encoderDataOf } from "../../src/recipes/encoder-data.js";

/** A folder of the test's own, removed after it. */
export async function freshFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-encoder-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A prepared folder of invented histories. */
export async function syntheticFolder(
  t: ExecutionContext,
  options: SyntheticOptions = {},
): Promise<string> {
  const folder = join(await freshFolder(t), "prepared");
  await prepareSynthetic(folder, {
    ...{ users: 30, items: 60, genres: 4, events: 240, shortest: 2, oracleUsers: 0 },
    ...options,
  });
  return folder;
}

export const smallEncoder: EncoderOptions = {
  kind: "autoregressive",
  ...{ layers: 1, width: 8, heads: 2, dropout: 0, featureWidths: { item: 6, rating: 3 } },
};

export interface SavedEncoder {
  readonly folder: string;
  readonly encoder: UserEncoder;
  readonly data: PreparedData;
  readonly card: EncoderCard;
}

/** An encoder with random weights, saved; disposed and closed after the test. */
export async function savedEncoder(
  t: ExecutionContext,
  {
    options = smallEncoder,
    length = 6,
    custom,
    prepared,
  }: {
    options?: EncoderOptions;
    length?: number;
    custom?: readonly EncoderFamily[];
    prepared?: string;
  } = {},
): Promise<SavedEncoder> {
  const data = await PreparedData.open(prepared ?? (await syntheticFolder(t)));
  const encoderData = encoderDataOf(data, length, featureNamesOf(options));
  const generator = new Generator(7);
  const encoder = makeEncoder(options, encoderData, { custom, generator }).eval();
  generator.dispose();
  const folder = join(await freshFolder(t), "encoder");
  const card = await saveEncoder(folder, encoder, { options, data: encoderData, trainedOn: data });
  t.teardown(() => {
    encoder.dispose();
    data.close();
  });
  return { folder, encoder, data, card };
}
