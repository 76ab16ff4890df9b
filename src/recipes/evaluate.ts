import { PreparedData } from "../data/prepared/prepared-data.js";
import { split } from "../data/windows/split.js";
import { ConfigError, DataError } from "../errors.js";
import type { RankingResult } from "../evaluate/index.js";
import type { EncoderFamily } from "../models/index.js";
import type { LongCall } from "../progress.js";
import type { Config } from "./config.js";
import { findEncoder, loadEncoder } from "./encoder-bundle/index.js";
import { rankAll } from "./rankings.js";

export interface EvaluateEncoderOptions extends LongCall {
  /** Whose targets are ranked. Default: `test`. */
  readonly part?: "validation" | "test" | undefined;
  /** Encoders of your own, for `encoder.kind: custom`. */
  readonly custom?: readonly EncoderFamily[] | undefined;
}

/**
 * Ranks the catalogue with a saved encoder, and with the baselines of the configuration.
 *
 * @param encoder a run, a checkpoint, or a folder that `saveEncoder` wrote
 * @param config  of the run: its data and split are those that the encoder was trained with
 * @returns       the encoder's result first
 * @throws CheckpointError when the encoder cannot be read
 * @throws DataError when data or split are others: it might have been trained on what it is tested with
 */
export async function evaluateEncoder(
  encoder: string,
  config: Config,
  { part = "test", custom, ...longCall }: EvaluateEncoderOptions = {},
): Promise<RankingResult[]> {
  const { data: section } = config;
  if (section.out === undefined) throw new ConfigError("data.out is missing: the prepared folder");
  const { signal } = longCall;
  using loaded = await loadEncoder(await findEncoder(encoder), { custom, signal });
  using data = await PreparedData.open(section.out);
  const parts = await split(data, { ...section.split, ...longCall });
  const { provenance } = loaded.card;
  for (const [what, was, is] of [
    ["data", provenance.data.fingerprint, data.fingerprint],
    ["split", provenance.split, parts.card.fingerprint],
  ] as const)
    if (was !== null && was !== is)
      throw new DataError(
        `${section.out}: the ${what} is not the one that ${encoder} was trained with ` +
          `(${is.slice(0, 12)} and ${was.slice(0, 12)}); what it is tested on may have trained it`,
      );
  const described = { ...config, encoder: loaded.card.encoder };
  return await rankAll(described, { data, split: parts, encoder: loaded.encoder }, part, longCall);
}
