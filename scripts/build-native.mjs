/**
 * Builds the native addon: through cmake-js where it is installed, else with plain CMake, which is
 * all that a consumer of the package has. Needs CMake and a C++20 compiler; downloads nothing.
 *
 *     node scripts/build-native.mjs [--out DIR] [--debug] [--sanitize address,undefined|thread]
 *                                   [--strict] [--if-stale]
 *
 * The work folder is `build-cmake*`, the result `build/Release/user_llm.node` (or `build/Debug`,
 * `build-asan/Release`, `build-tsan/Release`). `node-gyp rebuild` wipes `build/`, so nothing that
 * takes long to make lives there.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const script = fileURLToPath(import.meta.url);
const root = dirname(dirname(script));
const require = createRequire(join(root, "package.json"));
const binary = "user_llm.node";

/**
 * @typedef {object} BuildOptions
 * @property {string} [out] folder of the result; default: `build/Release` or what the flavour says
 * @property {boolean} [debug] no optimisation, debug symbols
 * @property {string} [sanitize] `address,undefined` or `thread`
 * @property {boolean} [strict] warnings are errors; stays so for this work folder
 * @property {boolean} [ifStale] do nothing when the binary was built from the same inputs
 */

/** A reason for which the build cannot be done, as one line for the user. */
export class BuildError extends Error {}

/**
 * @param {BuildOptions} [options]
 * @returns {{ path: string, built: boolean }}
 */
export function buildNative(options = {}) {
  const { debug = false, sanitize = "", strict = false, ifStale = false } = options;
  const type = debug ? "Debug" : "Release";
  const tag = sanitize === "" ? "" : sanitize.includes("thread") ? "-tsan" : "-asan";
  const work = join(root, `build-cmake${tag}${debug ? "-debug" : ""}`);
  const out = resolve(root, options.out ?? join(`build${tag}`, type));
  const stamp = join(out, "user_llm.stamp");
  const inputs = hashInputs(`${type} ${sanitize} ${process.platform}-${process.arch}`);

  const path = join(out, binary);
  if (ifStale && existsSync(path) && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs) {
    return { path, built: false };
  }
  configure(work, type, { USER_LLM_SANITIZE: sanitize, ...(strict && { USER_LLM_WERROR: "ON" }) });
  const jobs = String(availableParallelism());
  run("cmake", ["--build", work, "--target", "user_llm", "--parallel", jobs]);

  // Replaced by rename: a process that has the old binary mapped keeps it.
  mkdirSync(out, { recursive: true });
  copyFileSync(join(work, type, binary), `${path}.new`);
  renameSync(`${path}.new`, path);
  writeFileSync(stamp, inputs);
  return { path, built: true };
}

/**
 * @param {string} work
 * @param {string} type
 * @param {Record<string, string>} defines
 */
function configure(work, type, defines) {
  const ninja = onPath("ninja");
  const compilers = process.env.CXX ? process.env.CXX.split(" ", 1) : ["c++", "g++", "clang++"];
  if (!onPath("cmake")) throw new BuildError("cmake not found; install CMake 3.22 or newer");
  if (!compilers.some(onPath)) {
    throw new BuildError(`no C++ compiler found (${compilers.join(", ")}); install g++ or clang`);
  }
  if (!ninja && !onPath("make")) throw new BuildError("neither ninja nor make found; install one");

  const generator = ninja ? "Ninja" : "Unix Makefiles";
  const cache = join(work, "CMakeCache.txt");
  if (
    existsSync(cache) &&
    !readFileSync(cache, "utf8").includes(`GENERATOR:INTERNAL=${generator}\n`)
  ) {
    rmSync(work, { recursive: true });
  }
  const settings = Object.entries(defines).filter(([, value]) => value !== "");
  const cmakeJs = installed("cmake-js");
  if (cmakeJs) {
    const program = join(cmakeJs, "bin/cmake-js");
    const places = ["--directory", root, "--out", work, "--config", type, "-G", generator];
    const custom = settings.map(([key, value]) => `--CD${key}=${value}`);
    run(process.execPath, [program, "configure", ...places, "--log-level", "warn", ...custom]);
  } else {
    const places = ["-S", root, "-B", work, "-G", generator, `-DCMAKE_BUILD_TYPE=${type}`];
    const custom = settings.map(([key, value]) => `-D${key}=${value}`);
    run("cmake", [...places, ...custom, `-DNODE_EXECUTABLE=${process.execPath}`]);
  }
}

/**
 * One hash over everything that decides what the binary is.
 *
 * @param {string} flavour
 */
function hashInputs(flavour) {
  const hash = createHash("sha256").update(flavour);
  for (const name of ["node-addon-api", "node-api-headers"]) {
    const folder = installed(name);
    if (!folder) throw new BuildError(`${name} is not installed; run npm ci`);
    hash.update(readFileSync(join(folder, "package.json")));
  }
  const sources = readdirSync(join(root, "native"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of [join(root, "CMakeLists.txt"), script, ...sources]) {
    hash.update(`\0${file.slice(root.length)}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/**
 * The folder of an installed package, wherever a package manager has put it.
 *
 * @param {string} name
 */
function installed(name) {
  const folders = require.resolve.paths(name) ?? [];
  return folders.map((folder) => join(folder, name)).find((folder) => existsSync(folder));
}

/** @param {string} program */
function onPath(program) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(resolve(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Runs a program with its output on stderr: stdout belongs to results.
 *
 * @param {string} program
 * @param {string[]} args
 */
function run(program, args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (error) throw new BuildError(`${program}: ${error.message}`);
  if (status !== 0) throw new BuildError(`${program} failed; its messages are above`);
}

function main() {
  const { values } = parseArgs({
    options: {
      out: { type: "string" },
      debug: { type: "boolean" },
      sanitize: { type: "string" },
      strict: { type: "boolean" },
      "if-stale": { type: "boolean" },
    },
  });
  const { "if-stale": ifStale = false, ...options } = values;
  console.log(buildNative({ ...options, ifStale }).path);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === script) {
  try {
    main();
  } catch (error) {
    if (!(error instanceof BuildError) && !(error instanceof TypeError)) throw error;
    console.error(`build-native: ${error.message}`);
    process.exitCode = 1;
  }
}
