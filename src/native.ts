/** The single door to the addon: nothing else loads the binary. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DTypeError, NativeError, ShapeError, UsageError, type UserLlmError } from "./errors.js";

/** What the binary knows of an op. */
export interface NativeOp {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly attributes: readonly string[];
  readonly outputs: readonly string[];
  /** Inputs changed in place. */
  readonly mutates: readonly string[];
  /** Whether it has a CPU kernel. */
  readonly cpu: boolean;
}

export interface NativeMemory {
  tensors: number;
  bytes: number;
  cachedBytes: number;
  peakBytes: number;
  limitBytes: number;
}

export interface NativeProfileEntry {
  op: string;
  calls: number;
  seconds: number;
  flops: number;
  bytes: number;
}

/** A column that a loader gathers: `GatheredFeature` of native/data/gather.h. */
export interface NativeFeature {
  readonly name: string;
  /** 0: the item itself, 1: of the event, 2: of the event's item. */
  readonly source: 0 | 1 | 2;
  readonly bag: boolean;
  readonly size: number;
  readonly longest: number;
  readonly values?: Int32Array;
  readonly offsets?: Int32Array;
}

/** `GatherSpec` and `Schedule` of native/data. Mapped columns are read where they are, others copied. */
export interface NativeLoaderSpec {
  readonly first: Float64Array;
  readonly cumulative: Float64Array;
  readonly starts: Float64Array;
  readonly length: number;
  readonly stride: number;
  readonly items: Int32Array;
  readonly itemCount: number;
  readonly features: readonly NativeFeature[];
  readonly ragged: boolean;
  readonly targets: boolean;
  readonly batchSize: number;
  readonly prefetch: number;
  readonly shuffle: boolean;
  readonly seed: number;
  readonly rank: number;
  readonly world: number;
  readonly share: number;
  readonly epoch: number;
  readonly position: number;
  readonly endEpoch: number;
}

/**
 * The functions of `native/binding`. Those that return a number return a negative error kind on failure;
 * pass it to `nativeError`.
 */
interface Native {
  /** Calls go out and outputs come back here: per output its handle, dtype, rank and sizes. */
  readonly wire: Float64Array;
  bind(
    name: string,
    inputs: readonly string[],
    attributes: readonly string[],
    outputs: readonly string[],
  ): number;
  run(op: number, wireLength: number): number;
  view(handle: number, offset: number, rank: number): number;
  upload(dtype: number, data: ArrayBufferView, rank: number): number;
  read(handle: number): Promise<ArrayBuffer | string> | number;
  fence(): Promise<void>;
  release(handle: number): number;
  lastError(): string;
  ops(): NativeOp[];
  memory(what: 0 | 1 | 2): NativeMemory;
  profile(mode: 0 | 1 | 2): NativeProfileEntry[];
  peak(): Promise<{ gflops: number; bfloat16Gflops: number; copyGBs: number }>;
  info(): {
    threads: number;
    isa: string;
    bfloat16: string;
    profiling: boolean;
    synchronous: boolean;
  };
  /** The file's bytes, mapped; or the reason for which they cannot be. */
  mapFile(path: string): ArrayBuffer | string;
  unmapFile(buffer: ArrayBuffer): void;
  /** Starts gathering ahead. Its number, or why not. */
  loaderCreate(spec: NativeLoaderSpec): number | string;
  /** The block of the next batch, undefined at the end, or why there is none. */
  loaderNext(loader: number): Promise<ArrayBuffer | string | undefined> | string;
  /** Gives back the block of a batch that has been read. */
  loaderRecycle(loader: number, slot: number): void;
  /** Ends it; who waits for a batch gets undefined. */
  loaderClose(loader: number): void;
}

function load(): { native: Native; nativePath: string } {
  const require = createRequire(import.meta.url);
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const override = process.env.USER_LLM_NATIVE;
  try {
    const nativePath =
      override || (require("node-gyp-build") as { path(folder: string): string }).path(root);
    return { native: require(nativePath) as Native, nativePath };
  } catch (cause) {
    const report = process.report?.getReport() as
      | { header?: { glibcVersionRuntime?: string } }
      | undefined;
    const libc = report?.header?.glibcVersionRuntime
      ? `glibc ${report.header.glibcVersionRuntime}`
      : "no glibc";
    const tried = override
      ? [override]
      : [join(root, "build/Release"), join(root, `prebuilds/${process.platform}-${process.arch}`)];
    throw new NativeError(
      `no native library for ${process.platform}-${process.arch} (${libc}, Node ${process.versions.node}); ` +
        `tried ${tried.map((path) => `${path}${existsSync(path) ? "" : " (absent)"}`).join(", ")}: ` +
        `${(cause as Error).message.split("\n", 1)[0]}. Build it from source with: npx user-llm build`,
      { cause, code: "ERR_NATIVE_MISSING" },
    );
  }
}

/** The addon, and the file it was loaded from. */
export const { native, nativePath } = load();

/** The error behind a negative result; `ErrorKind` of native/core/error.h. */
export function nativeError(kind: number): UserLlmError {
  const message = native.lastError();
  switch (kind) {
    case -1:
      return new ShapeError(message);
    case -2:
      return new DTypeError(message);
    case -3:
      return new UsageError(message);
    case -4:
      return new NativeError(message, { code: "ERR_OUT_OF_MEMORY" });
    default:
      return new NativeError(message);
  }
}
