import { readFile } from "node:fs/promises";
import { DataError } from "../../errors.js";
import type { Source } from "../source.js";

export const cardName = "synthetic.json";

/** What a dataset says of itself. */
export type Origin = Pick<Source, "name" | "title" | "licence" | "citation">;

/** What generated data says of itself, whatever layout it is in: that it is not real. */
export const syntheticOrigin = ({ seed }: { seed: number }): Origin => ({
  name: "synthetic",
  title: `Synthetic (user-llm, seed ${seed})`,
  licence: "CC0; generated, not real: no user, item or review in it exists",
});

/**
 * The origin of a folder with a `synthetic.json`.
 *
 * @throws DataError when that file is not one of ours
 */
export async function readSyntheticOrigin(path: string): Promise<Origin> {
  const text = await readFile(path, "utf8");
  try {
    const { format, options } = JSON.parse(text);
    if (format === "user-llm-synthetic" && Number.isInteger(options.seed))
      return syntheticOrigin(options);
  } catch {}
  throw new DataError(`${path}: expected what writeSynthetic writes`);
}
