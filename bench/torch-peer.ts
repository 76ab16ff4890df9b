import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { arrayOf } from "../src/tensor/dtype.js";
import type { HostTensors, TorchPath } from "../test/cases/case.js";

const program = fileURLToPath(new URL("peers/ops.py", import.meta.url));

/**
 * Big blocks stay with the process and lie in huge pages: without this PyTorch spends much of its time in page faults,
 * and the comparison would flatter us.
 */
const allocation = {
  MALLOC_MMAP_THRESHOLD_: "8000000000",
  MALLOC_TRIM_THRESHOLD_: "16000000000",
  MALLOC_TOP_PAD_: "67108864",
  GLIBC_TUNABLES: "glibc.malloc.hugetlb=1",
};

export type Pass = "forward" | "backward";

/** A way that PyTorch can go. */
export interface TorchRun {
  readonly name: string;
  /** The Euclidean norm of what it computed in its trial; `undefined` where that is no tensor. */
  readonly norm: number | undefined;
  /** Seconds of one run, on average over `runs`. */
  run(pass: Pass, runs: number): Promise<number>;
}

export interface TorchWork {
  readonly inputs: HostTensors;
  readonly paths: readonly TorchPath[];
  /** How many copies of the inputs are used in turns. */
  readonly copies: number;
  /** Inputs that gradients are taken of. */
  readonly differentiable: readonly string[];
  /** Position of the output that they are gradients of. */
  readonly root: number;
}

export interface TorchPeerOptions {
  /** Whether memory is kept and laid out for speed; else it is what the process needs. Default: true. */
  fast?: boolean;
}

/** A Python process that runs the same work in PyTorch; requests and answers are lines of JSON. */
export class TorchPeer {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #folder = mkdtempSync(join(tmpdir(), "user-llm-bench-"));
  version = "";

  private constructor(python: string, threads: number, { fast = true }: TorchPeerOptions) {
    this.#child = spawn(python, [program, String(threads)], {
      env: { ...process.env, ...(fast && allocation), OMP_NUM_THREADS: String(threads) },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#answers = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(
    python: string,
    threads: number,
    options: TorchPeerOptions = {},
  ): Promise<TorchPeer> {
    const peer = new TorchPeer(python, threads, options);
    peer.version = (await peer.#receive()) as string;
    return peer;
  }

  /** Gives it the inputs and what to compute, in place of what it had. The paths that do not run are reported. */
  async prepare({ inputs, paths, ...rest }: TorchWork): Promise<TorchRun[]> {
    const described = Object.entries(inputs).map(([name, { shape, data, dtype }], i) => {
      const file = join(this.#folder, String(i));
      const stored = dtype === "float" ? "float32" : dtype;
      writeFileSync(file, arrayOf(stored, data));
      return { name, shape, file, dtype: stored };
    });
    const answers = (await this.#ask({
      inputs: described,
      paths: paths.map(({ name: _, ...path }) => path),
      ...rest,
    })) as { norm?: number; problem?: string }[];
    return answers.flatMap(({ norm, problem }, path) => {
      const { name } = paths[path]!;
      if (problem !== undefined) {
        console.error(`PyTorch, ${name}: ${problem}`);
        return [];
      }
      const run = async (pass: Pass, runs: number) =>
        (await this.#ask({ path, pass, runs })) as number;
      return [{ name, norm, run }];
    });
  }

  /** The most memory that the process has had at a time, in bytes. Linux only. */
  async residentPeak(): Promise<number> {
    return (await this.#ask({ resident: true })) as number;
  }

  stop(): void {
    this.#child.stdin!.end();
    rmSync(this.#folder, { recursive: true });
  }

  async #ask(request: object): Promise<unknown> {
    this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.#receive();
  }

  async #receive(): Promise<unknown> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("the PyTorch process ended; its messages are above");
    return JSON.parse(value);
  }
}
