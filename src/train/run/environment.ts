import { availableParallelism, cpus, release, totalmem } from "node:os";
import { packageVersion } from "../../package-version.js";
import { type GitCommit, gitCommit } from "./git-commit.js";
import { redactValue } from "./secrets.js";

/** What a caller adds to `environment.json`: what the folder cannot know. More is kept as it is. */
export interface RunFacts {
  readonly data?: { readonly title?: string; readonly fingerprint?: string } | undefined;
  readonly split?: { readonly fingerprint?: string } | undefined;
  readonly model?: { readonly parameters?: number; readonly trainable?: number } | undefined;
  readonly [name: string]: unknown;
}

/** The machine and the programs of a run, as they stand in `environment.json`. */
export interface Environment {
  /** ISO 8601 in UTC. */
  readonly startedAt: string;
  /** The version of this package. */
  readonly userLlm: string;
  readonly node: string;
  /** Null where the native addon does not load. */
  readonly addon: {
    readonly isa: string;
    readonly bfloat16: string;
    readonly threads: number;
  } | null;
  readonly system: {
    readonly platform: string;
    readonly arch: string;
    readonly release: string;
    readonly libc: string | null;
  };
  readonly processor: { readonly model: string; readonly cores: number };
  /** Of the machine, or of the container where it has a limit. */
  readonly memoryBytes: number;
  /** Of the working directory. */
  readonly git: GitCommit | null;
  /** Variables of the environment that begin with `USER_LLM_`; no other is looked at. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Looks at this process and machine. Nothing in it is secret. */
export async function describeEnvironment(folder = process.cwd()): Promise<Environment> {
  const [addon, git] = await Promise.all([describeAddon(), gitCommit(folder)]);
  const { platform, arch } = process;
  return {
    startedAt: new Date().toISOString(),
    userLlm: packageVersion(),
    node: process.version,
    addon,
    system: { platform, arch, release: release(), libc: libcOf() },
    processor: { model: cpus()[0]?.model.trim() ?? "unknown", cores: availableParallelism() },
    memoryBytes: usableMemory(),
    git,
    variables: ownVariables(process.env),
  };
}

/** The variables that concern this package, without secrets. */
export function ownVariables(env: Readonly<Record<string, string | undefined>>) {
  const own = Object.entries(env).filter(([name]) => name.startsWith("USER_LLM_"));
  return redactValue(Object.fromEntries(own)) as Record<string, string>;
}

async function describeAddon(): Promise<Environment["addon"]> {
  try {
    const { cpuInfo } = await import("../../tensor/index.js");
    const { isa, bfloat16, threads } = cpuInfo();
    return { isa, bfloat16, threads };
  } catch {
    return null;
  }
}

function libcOf(): string | null {
  if (process.platform !== "linux") return null;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = report.header?.glibcVersionRuntime;
  return version === undefined ? "musl" : `glibc ${version}`;
}

function usableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
