/** Tests on real models, where they are at hand: `shared/models` beside the project, or `$USER_LLM_SHARED/models`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";

const shared =
  process.env.USER_LLM_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));

/**
 * A test that is skipped, and says so, where its model is not.
 *
 * @param name of the folder in `shared/models`
 */
export function testModel(
  title: string,
  name: string,
  run: (t: ExecutionContext, folder: string) => Promise<void>,
): void {
  const folder = join(shared, "models", name);
  if (existsSync(folder)) test.serial(title, (t) => run(t, folder));
  else test.serial.skip(`${title}: ${folder} is not here`, (t) => run(t, folder));
}
