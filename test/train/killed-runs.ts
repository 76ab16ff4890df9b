/** Runs that are killed and taken up again until they come to their end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const child = fileURLToPath(new URL("child.ts", import.meta.url));

/** How a process ends before its time: at the first call on files that fits, or some milliseconds after it came so many steps further. */
export type Kill = { readonly call: RegExp } | { readonly steps: number; readonly delayMs: number };

export interface Outcome {
  /** `finished` and the digest of the weights. */
  readonly last: string;
  readonly metrics: string;
  /** How many processes were killed. */
  readonly killed: number;
}

/** @throws when a process ends in any other way than by being killed, or at its end */
export async function runKilled(
  folder: string,
  steps: number,
  kills: readonly Kill[],
): Promise<Outcome> {
  let killed = 0;
  for (const kill of [...kills, undefined]) {
    const at = kill && "call" in kill ? [kill.call.source] : [];
    const args = ["--import=tsx", child, folder, `${steps}`, ...at];
    const started = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    started.stderr.on("data", (text) => {
      errors += text;
    });
    const exited = once(started, "exit") as Promise<[number | null, string | null]>;
    let first: number | undefined;
    let last = "";
    let armed = kill !== undefined && "steps" in kill;
    for await (const line of createInterface(started.stdout)) {
      last = line;
      const step = Number(/^step (\d+)$/.exec(line)?.[1] ?? Number.NaN);
      first ??= step;
      if (!armed || kill === undefined || !("steps" in kill) || step < first + kill.steps) continue;
      armed = false;
      void setTimeout(kill.delayMs).then(() => started.kill("SIGKILL"));
    }
    const [code, signal] = await exited;
    if (signal === "SIGKILL") killed++;
    else if (code !== 0) throw new Error(`exit code ${code}, ${signal}: ${errors}`);
    if (signal === null) {
      const metrics = await readFile(join(folder, "metrics.jsonl"), "utf8");
      return { last, metrics, killed };
    }
  }
  throw new Error("the run never came to its end");
}
