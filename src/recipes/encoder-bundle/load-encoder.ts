import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Catalogue } from "../../data/catalogue/catalogue.js";
import { hashFile } from "../../data/files/hash-file.js";
import { CheckpointError, UserLlmError } from "../../errors.js";
import {
  type EncoderData,
  type EncoderFamily,
  makeEncoder,
  type UserEncoder,
} from "../../models/index.js";
import type { Module } from "../../nn/index.js";
import { defaultGenerator } from "../../ops/random.js";
import type { LongCall } from "../../progress.js";
import { openSafetensors, type SafetensorsFile, type SafetensorsInfo } from "../../tensor/index.js";
import {
  cardFile,
  dataOfCard,
  type EncoderCard,
  largestCard,
  parseCard,
  type StoredFile,
  weightsFile,
} from "./encoder-card.js";
import { leastParameters } from "./least-parameters.js";

/** An encoder that was saved, with what its numbers stand for. Disposing it frees all of it. */
export interface LoadedEncoder extends Disposable {
  /** As after `eval()`. */
  readonly encoder: UserEncoder;
  readonly card: EncoderCard;
  /** What it was made for. */
  readonly data: EncoderData;
  /** SHA-256 of its weights. */
  readonly hash: string;
  /** Items and values of features. */
  readonly catalogue: Catalogue;
}

export interface LoadEncoderOptions extends Pick<LongCall, "signal"> {
  /** Encoders of your own, for `kind: "custom"`. */
  readonly custom?: readonly EncoderFamily[] | undefined;
}

/**
 * Makes an encoder again from a folder that `saveEncoder` wrote. Every file is compared with its hash, every tensor with
 * the encoder. Random numbers go on as if nothing was loaded.
 *
 * @throws CheckpointError for everything that is wrong with the folder
 * @throws UsageError when it is an encoder of one's own that `custom` lacks
 */
export async function loadEncoder(
  folder: string,
  { custom, signal }: LoadEncoderOptions = {},
): Promise<LoadedEncoder> {
  const card = await checkedCard(folder, signal);
  const data = dataOfCard(card);
  await using weights = await openSafetensors(join(folder, weightsFile));
  requirePlausible(folder, card, weights);
  const encoder = makeAgain(folder, card, custom);
  try {
    await fill(folder, encoder, weights);
    const files = card.files.flatMap(({ rows, ...file }) =>
      rows === undefined ? [] : [{ ...file, rows }],
    );
    const features = card.features
      .filter(({ name }) => name !== "item")
      .map((feature) => ({ ...feature, missing: 0 }));
    const catalogue = await asCheckpointError(() => Catalogue.open(folder, { files, features }));
    const dispose = () => {
      catalogue.close();
      encoder.dispose();
    };
    const { sha256: hash } = card.files[0]!;
    return { encoder: encoder.eval(), card, data, hash, catalogue, [Symbol.dispose]: dispose };
  } catch (error) {
    encoder.dispose();
    throw error;
  }
}

/**
 * Reads the weights of a folder into an encoder that is like the one that was saved, as training does that goes on.
 *
 * @throws CheckpointError for everything that is wrong with the folder, or when the encoder is another; it is then as
 *         it was
 */
export async function restoreEncoder(
  folder: string,
  encoder: Module,
  { signal }: Pick<LongCall, "signal"> = {},
): Promise<EncoderCard> {
  const card = await checkedCard(folder, signal);
  await using weights = await openSafetensors(join(folder, weightsFile));
  await fill(folder, encoder, weights);
  return card;
}

/** The card of a folder whose files are those of the card. */
async function checkedCard(folder: string, signal: AbortSignal | undefined): Promise<EncoderCard> {
  const path = join(folder, cardFile);
  const bytes = await sizeOf(path);
  if (bytes === undefined)
    throw new CheckpointError(`${folder}: not an encoder, it has no ${cardFile}`);
  if (bytes > largestCard)
    throw new CheckpointError(`${path}: it has ${bytes} bytes, must have at most ${largestCard}`);
  const text = await readFile(path, "utf8");
  const card = await asCheckpointError(() => parseCard(path, text));
  for (const file of card.files) await checkFile(folder, file, signal);
  return card;
}

async function checkFile(
  folder: string,
  { name, bytes, sha256 }: StoredFile,
  signal: AbortSignal | undefined,
): Promise<void> {
  const path = join(folder, name);
  const found = await sizeOf(path);
  if (found === undefined)
    throw new CheckpointError(`${path}: ${cardFile} names it, but it is not there`);
  if (found !== bytes)
    throw new CheckpointError(`${path}: it has ${found} bytes, ${cardFile} says ${bytes}`);
  const hash = await hashFile(path, signal);
  if (hash !== sha256)
    throw new CheckpointError(`${path}: its SHA-256 is ${hash}, ${cardFile} says ${sha256}`);
}

/** Bytes of a file that is neither a link nor a pipe; undefined where there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  const found = await lstat(path).catch(() => undefined);
  if (found !== undefined && !found.isFile())
    throw new CheckpointError(`${path}: must be a file itself, not a link or a folder`);
  return found?.size;
}

/** Before anything is allocated: options that do not fit the weights would take any amount of memory. */
function requirePlausible(folder: string, card: EncoderCard, weights: SafetensorsFile): void {
  const path = join(folder, cardFile);
  const tensors = weights.names.map((name) => weights.info(name));
  const floats = numbersIn(tensors.filter(({ dtype }) => dtype.startsWith("F")));
  if (floats !== card.parameters)
    throw new CheckpointError(
      `${path}: "parameters" is ${card.parameters}, ${weightsFile} has ${floats} numbers`,
    );
  const least = leastParameters(card.encoder, dataOfCard(card));
  const stored = numbersIn(tensors);
  if (least > stored)
    throw new CheckpointError(
      `${path}: an encoder with these options has at least ${least} numbers, ${weightsFile} has ${stored}`,
    );
}

const numbersIn = (tensors: readonly SafetensorsInfo[]): number =>
  tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);

function makeAgain(
  folder: string,
  card: EncoderCard,
  custom: readonly EncoderFamily[] | undefined,
): UserEncoder {
  const state = defaultGenerator.state();
  try {
    return makeEncoder(card.encoder, dataOfCard(card), { custom });
  } catch (error) {
    // Of an encoder of one's own we do not know whose fault it is.
    if (!(error instanceof UserLlmError) || card.encoder.kind === "custom") throw error;
    throw new CheckpointError(`${join(folder, cardFile)}: ${error.message}`, { cause: error });
  } finally {
    defaultGenerator.restore(state);
  }
}

async function fill(folder: string, encoder: Module, weights: SafetensorsFile): Promise<void> {
  const state = await weights.readAll();
  try {
    encoder.loadStateDict(state);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new CheckpointError(`${join(folder, weightsFile)}: ${error.message}`, { cause: error });
  } finally {
    for (const tensor of state.values()) tensor.dispose();
  }
}

/** Errors about data are here errors about a checkpoint. */
async function asCheckpointError<T>(body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof UserLlmError)) throw error;
    throw new CheckpointError(error.message, { cause: error });
  }
}
