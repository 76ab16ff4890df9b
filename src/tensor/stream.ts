import { native, nativePath } from "../native.js";

/** Resolves once everything computed so far is done. */
export const synchronize = (): Promise<void> => native.fence();

/**
 * Keeps a training loop at most `ahead` steps in front of the device, so that queued work and its memory stay bounded
 * while the device never waits for JavaScript.
 *
 *     const pacer = new Pacer();
 *     for (...) {
 *       step();
 *       await pacer.next();
 *     }
 *
 * Timers and I/O get their turn at each `next()`.
 */
export class Pacer {
  readonly #fences: Promise<void>[] = [];

  /** @param ahead steps; default 2 */
  constructor(readonly ahead = 2) {}

  /** Call at the end of a step. */
  async next(): Promise<void> {
    this.#fences.push(native.fence());
    if (this.#fences.length > this.ahead) await this.#fences.shift();
  }

  /** Resolves once all steps are done. */
  async finish(): Promise<void> {
    await Promise.all(this.#fences.splice(0));
  }
}

export interface CpuInfo {
  /** Threads that ops run on; `USER_LLM_THREADS` sets it. */
  readonly threads: number;
  /** Instruction set in use: `avx512`, `avx2` or `plain`; `USER_LLM_ISA` can lower it. */
  readonly isa: string;
  /**
   * What multiplies bfloat16: `amx` (tiles), `avx512bf16` (vdpbf16ps) or `convert` (widened to float32);
   * `USER_LLM_BF16` can lower it.
   */
  readonly bfloat16: string;
}

/** How ops run on the CPU. */
export function cpuInfo(): CpuInfo {
  const { threads, isa, bfloat16 } = native.info();
  return { threads, isa, bfloat16 };
}

/** The file of the native library that is loaded; `USER_LLM_NATIVE` names another. */
export const libraryFile: string = nativePath;

/** What the machine can do, on all threads. */
export interface Peak {
  /** float32 multiply-adds, in 10⁹ operations a second. */
  readonly gflops: number;
  /** bfloat16 multiply-adds, as products in bfloat16 make them, in 10⁹ operations a second. */
  readonly bfloat16Gflops: number;
  /** Bytes read plus bytes written by a large copy, in 10⁹ a second. */
  readonly copyGBs: number;
}

/** Measures the machine's ceilings; takes about a tenth of a second of all threads. */
export const measurePeak = (): Promise<Peak> => native.peak();
