/** Starts a run in a folder and stays; `--overwrite` replaces the one there. Says `created` or the error. */
import { RunFolder } from "../../../src/train/run/index.js";

const [path = "", overwrite] = process.argv.slice(2);
try {
  const run = await RunFolder.create(path, {
    config: { resolved: {} },
    command: ["user-llm"],
    overwrite: overwrite === "--overwrite",
  });
  run.log({ step: 1, epoch: 1, split: "train", values: { loss: 1 } });
  await run.flush();
  process.stdout.write("created\n");
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(`${error}\n`);
}
