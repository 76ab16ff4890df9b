/**
 * Checks the built addon and its object files:
 *
 * - Instruction-set units define no weak symbol. The linker keeps one copy of a weak symbol; were it
 *   the AVX-512 one, an older CPU would die of SIGILL in what looks like ordinary code.
 * - The addon asks for nothing newer than the C and C++ libraries of the oldest system we support
 *   (RHEL 9), and for no library besides those two.
 *
 *     node scripts/check-binary.mjs        after `npm run build:native`; needs nm and objdump
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const addon = "build/Release/user_llm.node";
const units = "build-cmake/CMakeFiles";

/** @type {Record<string, string>} */
const newestAllowed = { GLIBC: "2.34", GLIBCXX: "3.4.29", CXXABI: "1.3.13" };
const librariesAllowed = /^(libc|libm|libdl|libpthread|libstdc\+\+|libgcc_s|ld-linux-[\w-]+)\.so/;

if (!existsSync(join(root, addon)) || !existsSync(join(root, units))) {
  console.error(`check-binary: ${addon} is not built; run npm run build:native`);
  process.exit(1);
}
const faults = [...weakSymbols(), ...versionsTooNew(), ...foreignLibraries()];
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exitCode = 1;
}

function weakSymbols() {
  const objects = readdirSync(join(root, units), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".simd.cpp.o"))
    .map((path) => join(units, path));
  return objects.flatMap((object) => {
    // Of nm's letters, V, W and u are the kinds of which a linker keeps one copy.
    const symbols = output("nm", ["--demangle", "--defined-only", object]).matchAll(
      / [VWuvw] (.+)/g,
    );
    return [...symbols].map(([, symbol]) => `${object}: weak symbol ${symbol}`);
  });
}

function versionsTooNew() {
  const needed = output("objdump", ["-T", "--demangle", addon]).matchAll(
    /\((GLIBC|GLIBCXX|CXXABI)_([\d.]+)\)\s+(.+)/g,
  );
  return [...needed].flatMap(([, library = "", version = "", symbol]) => {
    const limit = newestAllowed[library] ?? "";
    const tooNew = version.localeCompare(limit, "en", { numeric: true }) > 0;
    return tooNew ? [`${addon}: ${symbol} needs ${library}_${version}, newer than ${limit}`] : [];
  });
}

function foreignLibraries() {
  const needed = output("objdump", ["-p", addon]).matchAll(/NEEDED\s+(\S+)/g);
  return [...needed].flatMap(([, library = ""]) =>
    librariesAllowed.test(library) ? [] : [`${addon}: links ${library}`],
  );
}

/**
 * @param {string} program
 * @param {string[]} args
 */
function output(program, args) {
  return execFileSync(program, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });
}
