/**
 * Brings a fresh clone to where tests, benches and examples run: installs the dependencies when
 * they are missing or differ from the lock file, and builds the addon when its sources have
 * changed. Silent, and done within a blink, when there is nothing to do. Needs Node alone.
 *
 *     node scripts/bootstrap.mjs
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError, buildNative } from "./build-native.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @typedef {{ version?: string, optional?: boolean }} LockedPackage
 * @param {string} file
 * @returns {Record<string, LockedPackage>}
 */
const lockedPackages = (file) => JSON.parse(readFileSync(join(root, file), "utf8")).packages;

/** npm records what it installed in a lock file of its own; optional packages may be absent. */
function dependenciesAreCurrent() {
  const record = "node_modules/.package-lock.json";
  if (!existsSync(join(root, record))) return false;
  const present = lockedPackages(record);
  return Object.entries(lockedPackages("package-lock.json")).every(
    ([path, { version, optional }]) =>
      path === "" || present[path]?.version === version || (optional && !present[path]),
  );
}

try {
  if (!dependenciesAreCurrent()) {
    console.error("bootstrap: installing dependencies (npm ci)");
    const { status } = spawnSync("npm", ["ci"], { cwd: root, stdio: ["ignore", 2, 2] });
    if (status !== 0) throw new BuildError("npm ci failed; its messages are above");
  }
  const { built, path } = buildNative({ ifStale: true });
  if (built) console.error(`bootstrap: built ${path}`);
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`bootstrap: ${error.message}`);
  process.exitCode = 1;
}
