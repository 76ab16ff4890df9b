/**
 * Checks that imports and includes go one way. The tables below are the architecture:
 *
 *     TypeScript  cli -> recipes -> { train, evaluate, report } -> tasks -> generate -> models -> { nn, optim, data }
 *                 -> autograd -> ops -> tensor -> native.ts       tokenizers -> data -> tensor         recipes -> config
 *                 tasks -> data       generate -> { tokenizers, hub }
 *                 bench -> test/cases -> src       examples -> the package's public entries
 *     C++         binding -> ops -> devices -> core,  binding -> data -> core;  an op never includes another op
 *
 * A layer may import whatever it reaches by arrows, and the types (`import type`) of any layer.
 *
 *     node scripts/check-layers.mjs
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Every part of src/, and the parts below it. Whoever imports a part may import those too. */
const sourceLayers = {
  index: ["cli"],
  cli: ["recipes"],
  recipes: ["train", "evaluate", "report", "config"],
  train: ["tasks", "package-version"],
  evaluate: ["tasks", "package-version"],
  report: ["tasks"],
  tasks: ["generate", "data"],
  generate: ["models", "tokenizers", "hub"],
  models: ["nn", "optim", "data"],
  nn: ["autograd"],
  optim: ["autograd"],
  autograd: ["ops"],
  ops: ["tensor"],
  data: ["tensor"],
  config: [],
  tokenizers: ["data"],
  hub: ["data"],
  tensor: ["native"],
  native: ["errors"],
  errors: [],
  progress: [],
  "package-version": [],
};

const nativeLayers = {
  test: ["binding"],
  binding: ["ops", "data"],
  ops: ["devices"],
  devices: ["core"],
  data: ["core"],
  core: [],
};

/** All of the system that an instruction-set unit may see: the STL's inline functions would be shared. */
const isaSystemHeaders = ["stdint.h", "stddef.h", "immintrin.h"];

/** @type {string[]} */
const faults = [];
for (const folder of ["src", "test", "bench", "examples"]) {
  for (const file of filesUnder(folder, /\.[cm]?ts$/)) checkScript(file);
}
const nativeFiles = filesUnder("native", /\.(h|cpp|cu|cuh)$/);
for (const file of nativeFiles) checkNative(file);
for (const file of reachedFrom(nativeFiles.filter((name) => /\.simd\.(h|cpp)$/.test(name)))) {
  checkIsaUnit(file);
}

if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exitCode = 1;
}

/** @param {string} file */
function checkScript(file) {
  const text = withoutComments(readFileSync(join(root, file), "utf8"));
  const statements = text.matchAll(
    /\b(?:import|export)\b(\s+type\b)?([^"'`;()]*?\bfrom)?\s*["']([^"']+)["']/g,
  );
  for (const { index, 1: type, 3: target = "" } of statements) {
    if (type === undefined) checkImport(file, lineAt(text, index), target);
  }
  for (const { index, 1: target = "" } of text.matchAll(
    /(?<!typeof )\bimport\(\s*["']([^"']+)["']/g,
  )) {
    checkImport(file, lineAt(text, index), target);
  }
  for (const { index, 0: call } of text.matchAll(/process\.dlopen|node-gyp-build|\.node["'`]/g)) {
    if (file.startsWith("src/") && file !== "src/native.ts") {
      faults.push(`${file}:${lineAt(text, index)}: only src/native.ts loads the addon (${call})`);
    }
  }
}

/**
 * @param {string} file
 * @param {number} line
 * @param {string} target as written in the import
 */
function checkImport(file, line, target) {
  const blame = (/** @type {string} */ reason) => faults.push(`${file}:${line}: ${reason}`);
  const place = target.startsWith(".") ? posix.join(posix.dirname(file), target) : target;
  const [folder = "", name = ""] = place.split("/");

  if (file.startsWith("src/")) {
    if (!target.startsWith(".")) {
      if (folder === "user-llm") blame("src imports its own files by path, not by package name");
      return;
    }
    if (folder !== "src") {
      blame(`src imports ${place}, which is not published`);
      return;
    }
    const from = layerOf(file);
    const to = layerOf(`src/${name}`);
    if (!(from in sourceLayers)) blame(`layer "${from}" is not in scripts/check-layers.mjs`);
    else if (!reaches(sourceLayers, from, to)) blame(`${from} must not import ${to} (${target})`);
  } else if (file.startsWith("examples/")) {
    const own = folder === "examples" || place === "src/index.js";
    if (target.startsWith(".") && !own) blame(`an example imports "user-llm" only, not ${target}`);
  } else if (target.startsWith(".")) {
    const cases = place.startsWith("test/cases/");
    if (file.startsWith("test/cases/") && folder !== "src" && !cases) {
      blame(`test/cases imports src only, not ${target}`);
    }
    if (file.startsWith("bench/") && folder !== "src" && folder !== "bench" && !cases) {
      blame(`bench imports test/cases and src only, not ${target}`);
    }
  }
}

/** @param {string} file */
function checkNative(file) {
  const [, from = "", op = ""] = file.split("/");
  for (const { line, target, place } of includesOf(file)) {
    const blame = (/** @type {string} */ reason) => faults.push(`${file}:${line}: ${reason}`);
    if (/^(napi|node_api|js_native_api)/.test(target) && from !== "binding") {
      blame(`only native/binding knows Node (${target})`);
    }
    if (place === undefined) continue;
    const [, to = "", toOp = ""] = place.split("/");
    if (!reaches(nativeLayers, from, to)) blame(`${from} must not include ${to} (${target})`);
    if (from === "ops" && to === "ops" && op !== toOp) {
      blame(`op ${op} must not include op ${toOp}; what two ops share moves to devices/`);
    }
  }
}

/** @param {string} file that an instruction-set unit is made of */
function checkIsaUnit(file) {
  for (const { line, target, place } of includesOf(file)) {
    if (place !== undefined || isaSystemHeaders.includes(target)) continue;
    faults.push(
      `${file}:${line}: compiled per instruction set, so it includes no <${target}>, ` +
        `only ${isaSystemHeaders.map((name) => `<${name}>`).join(", ")} and files like itself`,
    );
  }
}

/**
 * The files, and every file under native/ that they include.
 *
 * @param {string[]} files
 */
function reachedFrom(files) {
  const reached = new Set(files);
  for (const file of reached) {
    for (const { place } of includesOf(file)) if (place !== undefined) reached.add(place);
  }
  return reached;
}

/**
 * Each include's line, its name as written, and the file under native/ that it means, if any.
 *
 * @param {string} file
 */
function includesOf(file) {
  const text = withoutComments(readFileSync(join(root, file), "utf8"));
  const includes = text.matchAll(/^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]/gm);
  return [...includes].map(({ index, 1: target = "" }) => {
    const candidates = [posix.join(posix.dirname(file), target), `native/${target}`];
    const place = candidates.find((path) => existsSync(join(root, path)));
    return { line: lineAt(text, index), target, place };
  });
}

/**
 * @param {Record<string, string[]>} layers
 * @param {string} from
 * @param {string} to
 * @returns {boolean}
 */
function reaches(layers, from, to) {
  return (
    from === to || to === "errors" || (layers[from] ?? []).some((next) => reaches(layers, next, to))
  );
}

/**
 * `src/nn/linear.ts` is in layer `nn`, `src/errors.ts` in `errors`.
 *
 * @param {string} file
 */
function layerOf(file) {
  return (file.split("/")[1] ?? "").replace(/\.[jt]s$/, "");
}

/**
 * Blanks out comments; offsets and line numbers stay.
 *
 * @param {string} text
 */
function withoutComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<![:"'`])\/\/.*/g, (comment) =>
    comment.replace(/[^\n]/g, " "),
  );
}

/**
 * @param {string} text
 * @param {number} offset
 */
function lineAt(text, offset) {
  return text.slice(0, offset).split("\n").length;
}

/**
 * @param {string} folder
 * @param {RegExp} pattern
 */
function filesUnder(folder, pattern) {
  const start = join(root, folder);
  if (!existsSync(start)) return [];
  return readdirSync(start, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}
