import { join } from "node:path";
import type { LongCall } from "../../progress.js";
import { fileFault } from "../files/file-fault.js";
import type { Manifest } from "../manifest.js";
import { prepare } from "../prepare.js";
import { writeCard } from "./card-file.js";
import { requireOracleUsers } from "./describe-synthetic.js";
import { syntheticModel } from "./model.js";
import type { SyntheticOptions } from "./options.js";
import { cardName } from "./origin.js";
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
  const manifest = await prepare(synthetic(chosen), { out, overwrite, onProgress, signal });
  const model = await syntheticModel(chosen);
  try {
    await writeCard(out, model, { users: oracleUsers, onProgress, signal });
  } catch (error) {
    throw fileFault(error, join(out, cardName), "write");
  }
  return manifest;
}
