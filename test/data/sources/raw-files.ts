/** Copies of the fixtures, for tests to change. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { ExecutionContext } from "ava";

export type Fixture =
  | "movielens-csv"
  | "movielens-dat"
  | "amazon-2014"
  | "amazon-2018"
  | "amazon-2023"
  | "google-local";

export function fixture(name: Fixture): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

/** An empty folder that goes away with the test. */
export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), "user-llm-sources-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

export function copyOf(t: ExecutionContext, name: Fixture): string {
  const folder = join(temporaryFolder(t), name);
  cpSync(fixture(name), folder, { recursive: true });
  return folder;
}

/** Puts every file of the folder into gzip. */
export function compress(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path)));
    rmSync(path);
  }
}
