import { access, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileFault } from "../../data/files/file-fault.js";
import { hashFile } from "../../data/files/hash-file.js";
import { syncPath } from "../../data/files/sync-path.js";
import type { PreparedData } from "../../data/index.js";
import { CheckpointError, DataError, UsageError } from "../../errors.js";
import { encoderConfig } from "../../models/encoders/config.js";
import type { EncoderData, EncoderOptions, UserEncoder } from "../../models/index.js";
import { packageVersion } from "../../package-version.js";
import { saveSafetensors } from "../../tensor/index.js";
import {
  type CardFeature,
  cardFile,
  type EncoderCard,
  encoderFormatVersion,
  weightsFile,
} from "./encoder-card.js";

export interface SaveEncoderOptions {
  /** How `makeEncoder` makes one like it. */
  readonly options: EncoderOptions;
  /** What it was made for. */
  readonly data: EncoderData;
  /** What it was trained on: items and values of features are copied, users and events are not. */
  readonly trainedOn: PreparedData;
  /** Fingerprint of the split's card. Default: none. */
  readonly split?: string | undefined;
  /** Optimizer steps so far. Default: not told. */
  readonly step?: number | undefined;
}

/**
 * Writes an encoder so that it can be used without its data, and read from other languages: `encoder.json`,
 * `model.safetensors`, and in Arrow what its ids stand for. `encoder.json` comes last: without it the folder holds no
 * encoder.
 *
 * @param folder made if need be; it may hold other things, but no encoder
 * @throws CheckpointError when the files cannot be written, or are there already; what was written is removed
 * @throws UsageError when the encoder was made for other data
 */
export async function saveEncoder(
  folder: string,
  encoder: UserEncoder,
  { options, data, trainedOn, split, step }: SaveEncoderOptions,
): Promise<EncoderCard> {
  const features = cardFeatures(data, trainedOn);
  const names = features.map(({ name }) => name).filter((name) => name !== "item");
  const mine = [
    cardFile,
    weightsFile,
    "items.arrow",
    ...names.map((name) => `vocab-${name}.arrow`),
  ];
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw asCheckpointError(fileFault(error, folder, "make the folder"));
  });
  await refuseExisting(folder, mine);
  try {
    await saveSafetensors(join(folder, weightsFile), encoder.stateDict());
    const weights = await storedFile(folder, weightsFile);
    // Only here, since it brings apache-arrow, which takes longer to load than all the rest.
    const { writeCatalogue } = await import("../../data/catalogue/write-catalogue.js");
    const catalogue = await writeCatalogue(folder, trainedOn, names);
    const card: EncoderCard = {
      format: "user-llm-encoder",
      version: encoderFormatVersion,
      package: packageVersion(),
      encoder: encoderConfig.parse(options),
      length: data.length,
      features,
      parameters: encoder.parameterCount,
      provenance: {
        data: { title: trainedOn.manifest.source.title, fingerprint: trainedOn.fingerprint },
        split: split ?? null,
        step: step ?? null,
      },
      files: [weights, ...catalogue],
    };
    await writeCard(folder, card);
    return card;
  } catch (error) {
    for (const name of [...mine, `${cardFile}.tmp`]) await rm(join(folder, name), { force: true });
    throw asCheckpointError(fileFault(error, folder, "save the encoder"));
  }
}

/** The encoder's features as the data declares them. */
function cardFeatures(data: EncoderData, trainedOn: PreparedData): CardFeature[] {
  return data.features.map((feature) => {
    const { name, size, of } = feature;
    const declared =
      name === "item"
        ? { name, kind: "id" as const, of: "event" as const, size: trainedOn.items, longest: 1 }
        : trainedOn.feature(name);
    const { kind, longest } = declared;
    if (declared.size !== size || declared.of !== of || (kind === "bag") !== feature.bag)
      throw new UsageError(
        `saveEncoder: "${name}" has ${size} values of ${of}s, in ${trainedOn.folder} ${declared.size} of ${declared.of}s`,
      );
    return { name, kind, of, size, longest };
  });
}

async function refuseExisting(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const isThere = await access(join(folder, name)).then(
      () => true,
      () => false,
    );
    if (isThere) throw new CheckpointError(`${folder} holds ${name} already; nothing was written`);
  }
}

async function storedFile(folder: string, name: string) {
  const path = join(folder, name);
  return { name, bytes: (await stat(path)).size, sha256: await hashFile(path) };
}

async function writeCard(folder: string, card: EncoderCard): Promise<void> {
  const path = join(folder, cardFile);
  const file = await open(`${path}.tmp`, "w");
  try {
    await file.writeFile(`${JSON.stringify(card, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  await syncPath(folder);
}

const asCheckpointError = (error: unknown): unknown =>
  error instanceof DataError ? new CheckpointError(error.message, { cause: error }) : error;
