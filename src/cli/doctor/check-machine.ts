import { readFileSync } from "node:fs";
import { readFile, statfs } from "node:fs/promises";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { resolve } from "node:path";
import { bytes } from "../text.js";
import type { Check } from "./check.js";

interface Package {
  version: string;
  engines: { node: string };
}

const readPackage = (): Package =>
  JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as Package;

export function checkPackage(): Check {
  const { version } = readPackage();
  return { name: "user-llm", status: "ok", found: version, details: { version } };
}

export function checkNode(): Check {
  const { version } = process;
  const wanted = readPackage().engines.node;
  const base = { name: "node", found: version, details: { version, wanted } };
  if (isAtLeast(version.slice(1), wanted.replace(">=", ""))) return { ...base, status: "ok" };
  return { ...base, status: "fail", remedy: `install Node ${wanted.replace(">=", "")} or newer` };
}

/** Compares versions number by number. */
export function isAtLeast(version: string, least: string): boolean {
  const [given, wanted] = [version, least].map((text) => text.split(".").map(Number.parseFloat));
  for (const [i, number] of wanted!.entries()) {
    const part = given![i] ?? 0;
    if (part !== number) return part > number;
  }
  return true;
}

export function checkPlatform(): Check {
  const { platform, arch } = process;
  const libc = libcOf();
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  const cores = availableParallelism();
  return {
    name: "platform",
    status: "ok",
    found: `${platform}-${arch}, ${libc === undefined ? "" : `${libc}, `}${release()}; ${model}, ${cores} CPUs`,
    details: { platform, arch, libc, release: release(), processor: model, cpus: cores },
  };
}

/** `glibc 2.36`, or `musl` on a Linux without glibc. */
function libcOf(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = report.header?.glibcVersionRuntime;
  return version === undefined ? "musl" : `glibc ${version}`;
}

export function checkMemory(): Check {
  const total = totalmem();
  // Of a container; 0 or a huge number where there is no limit.
  const limit = process.constrainedMemory();
  const usable = limit > 0 && limit < total ? limit : total;
  const free = process.availableMemory();
  const found = `${bytes(free)} free of ${bytes(usable)}`;
  const base = { name: "memory", found, details: { bytes: usable, freeBytes: free } };
  if (usable >= 2e9) return { ...base, status: "ok" };
  return {
    ...base,
    status: "warn",
    remedy: "prepare large data with --sorter duckdb --memory-limit",
  };
}

/** Prepared data and the temporary files of preparing go where it is to be, most often below the current folder. */
export async function checkDisk(folder: string): Promise<Check> {
  try {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const base = {
      name: "disk",
      found: `${bytes(free)} free in ${resolve(folder)}`,
      details: { folder: resolve(folder), freeBytes: free },
    };
    if (free >= 5e9) return { ...base, status: "ok" };
    return { ...base, status: "warn", remedy: "prepare large data into a folder on a larger disk" };
  } catch (error) {
    return {
      name: "disk",
      status: "fail",
      found: `${folder}: ${(error as Error).message}`,
      remedy: "run user-llm in a folder that it may read",
    };
  }
}

/** This release computes on the CPU; a GPU is reported so that nobody has to wonder why it is idle. */
export async function checkCuda(): Promise<Check> {
  const driver = await readFile("/proc/driver/nvidia/version", "utf8").catch(() => undefined);
  const version = driver === undefined ? undefined : /\s(\d+\.\d+[.\d]*)\s/.exec(driver)?.[1];
  const seen =
    driver === undefined ? "no NVIDIA driver" : `NVIDIA driver ${version ?? "found"}, not used`;
  return {
    name: "cuda",
    status: "ok",
    found: `${seen}; this release computes on the CPU`,
    details: { usable: false, driver: version },
  };
}
