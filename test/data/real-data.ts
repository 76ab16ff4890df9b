/** Tests on real data, where it is at hand: `shared/data` beside the project, or `$USER_LLM_SHARED/data`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { type Source, table } from "../../src/data/index.js";

const shared =
  process.env.USER_LLM_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));

/**
 * A test that is skipped, and says so, where its data is not.
 *
 * @param name of the file or folder in `shared/data`
 */
export function testReal(
  title: string,
  name: string,
  run: (t: ExecutionContext, path: string) => Promise<void>,
): void {
  const path = join(shared, "data", name);
  if (existsSync(path)) test(title, (t) => run(t, path));
  else test.skip(`${title}: ${path} is not here`, (t) => run(t, path));
}

/** MovieLens 1M with places in histories instead of times, joined with its films. */
export function reconstructed1m(folder: string, catalogue?: Source["catalogue"]): Source {
  return table({
    events: {
      file: join(folder, "interactions.csv.gz"),
      user: "userId",
      item: "movieId",
      position: "position",
    },
    items: {
      file: join(folder, "movies.dat"),
      separator: "::",
      header: ["movieId", "title", "genres"],
      encoding: "latin1",
      id: "movieId",
      title: "title",
      features: { genres: "bag" },
    },
    catalogue,
  });
}
