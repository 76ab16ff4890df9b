import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { HostTensors } from "../test/cases/case.js";

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

/** A Python process that runs the same work in PyTorch; requests and answers are lines of JSON. */
export class TorchPeer {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #folder = mkdtempSync(join(tmpdir(), "user-llm-bench-"));
  version = "";

  private constructor(python: string, threads: number) {
    this.#child = spawn(python, [program, String(threads)], {
      env: { ...process.env, ...allocation, OMP_NUM_THREADS: String(threads) },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#answers = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(python: string, threads: number): Promise<TorchPeer> {
    const peer = new TorchPeer(python, threads);
    peer.version = (await peer.#receive()) as string;
    return peer;
  }

  /** Gives it the inputs, `copies` times, and what to compute. */
  async prepare(
    inputs: HostTensors,
    expression: string,
    copies: number,
    differentiable: readonly string[],
    root: number,
  ): Promise<void> {
    const described = Object.entries(inputs).map(([name, { shape, data, dtype }], i) => {
      const file = join(this.#folder, String(i));
      const array =
        dtype === "float"
          ? Float32Array.from(data)
          : dtype === "int32"
            ? Int32Array.from(data)
            : Uint8Array.from(data);
      writeFileSync(file, array);
      return { name, shape, file, dtype: dtype === "float" ? "float32" : dtype };
    });
    await this.#ask({ inputs: described, expression, copies, differentiable, root });
  }

  /** Seconds of one run, on average over `runs`. */
  async run(pass: "forward" | "backward", runs: number): Promise<number> {
    return (await this.#ask({ pass, runs })) as number;
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
