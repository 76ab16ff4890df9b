/** Programs that run in a process, or a worker thread, of their own. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const source = (path: string): string =>
  JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);

/** Gives a program the toolkit as `llm`, with `llm.native` as the raw door. */
export const load = `const llm = {
  ...await import(${source("tensor/index.ts")}),
  ...await import(${source("ops/index.ts")}),
  ...await import(${source("native.ts")}),
};`;

/** About a second of the stream. */
export const longOp = `llm.tidy(() => {
  const x = llm.ones([3000, 3000]);
  for (let i = 0; i < 6; i++) llm.matmul(x, x);
});`;

/** An expression: a worker thread that runs `body` with `llm` and `parentPort`. */
export const worker = (body: string, workerData: unknown = null): string => {
  const program = `(async () => {
    (await import("tsx/esm/api")).register();
    const { parentPort, workerData } = await import("node:worker_threads");
    ${load}
    ${body}
  })();`;
  return `new (await import("node:worker_threads")).Worker(${JSON.stringify(program)}, {
    eval: true, execArgv: [], workerData: ${JSON.stringify(workerData)},
  })`;
};

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface ProgramOptions {
  env?: Record<string, string>;
  nodeArguments?: readonly string[];
  /** It is killed after this time, which the test sees as a signal. */
  timeoutMs?: number;
}

/** Runs an ES module in a process of its own, until it ends. */
export function program(
  body: string,
  { env = {}, nodeArguments = [], timeoutMs = 60_000 }: ProgramOptions = {},
): Promise<Ended> {
  const child = spawn(
    process.execPath,
    ["--import=tsx", "--input-type=module", ...nodeArguments, "--eval", body],
    { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const collected = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      collected[name] += text;
    });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, ...collected });
    });
  });
}
