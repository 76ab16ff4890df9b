import type { LongCall } from "../../progress.js";
import type { Manifest } from "../manifest.js";
import { prepareWith } from "../prepare.js";
import { writeCard } from "./card-file.js";
import { describeSynthetic, requireOracleUsers } from "./describe-synthetic.js";
import { syntheticModel } from "./model.js";
import type { SyntheticOptions } from "./options.js";
import { synthetic } from "./source.js";

/** What {@link prepareSynthetic} is told. */
export interface PrepareSyntheticOptions extends SyntheticOptions, LongCall {
  /** Whether prepared data that is there already is replaced; nothing else ever is. Default: false. */
  overwrite?: boolean | undefined;
  /** Users whose best rankings `synthetic.json` averages over; 0 leaves the scores out. Default: 2,000, or all. */
  oracleUsers?: number | undefined;
}

/**
 * Makes a prepared folder of invented histories, with reviews, and puts `synthetic.json` into it, which says how they were
 * made and what the best ranking scores.
 *
 * @returns the manifest of the folder
 * @throws ConfigError for an option that is out of range
 * @throws DataError when `out` holds something else or cannot be written
 * @see docs/synthetic-data.md
 */
export async function prepareSynthetic(
  out: string,
  options: PrepareSyntheticOptions = {},
): Promise<Manifest> {
  const { overwrite, oracleUsers, onProgress, signal, ...chosen } = options;
  requireOracleUsers(oracleUsers);
  const source = synthetic(chosen);
  return prepareWith(source, { out, overwrite, onProgress, signal }, async (folder) => {
    const model = await syntheticModel(chosen);
    const card = await describeSynthetic(model, { users: oracleUsers, onProgress, signal });
    await writeCard(folder, card);
  });
}
