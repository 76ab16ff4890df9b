import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";

interface Packed {
  filename: string;
  size: number;
  files: { path: string }[];
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const temp = mkdtempSync(join(tmpdir(), "user-llm-tarball-"));
const app = join(temp, "app");
const installed = join(app, "node_modules/user-llm");
const program = readFileSync(new URL("consumer.mjs", import.meta.url));

// A consumer's machine: an empty home, and Node and npm as the only programs.
const bin = join(temp, "bin");
const bare = { PATH: bin, HOME: join(temp, "home") };

let packed: Packed;

test.before("build, pack and install", (t) => {
  t.timeout(600_000);
  run("npm", ["run", "build"], root);
  run("npm", ["run", "prebuilds"], root);
  const tarball = pack(root);
  packed = tarball;

  for (const folder of [app, bin, bare.HOME]) mkdirSync(folder);
  symlinkSync(process.execPath, join(bin, "node"));
  symlinkSync(findProgram("npm"), join(bin, "npm"));
  writeFileSync(join(app, "package.json"), '{ "private": true }');
  writeFileSync(join(app, "consumer.mjs"), program);

  // The dependencies are packed from our own node_modules, so that no registry is asked.
  const listed = run("npm", ["ls", "--omit=dev", "--all", "--parseable"], root).trim().split("\n");
  const tarballs = [tarball, ...listed.slice(1).map(pack)].map(({ filename }) =>
    join(temp, filename),
  );
  run("npm", ["install", "--offline", ...tarballs], app, bare);
});

test.after.always("clean up", () => rmSync(temp, { recursive: true, force: true }));

test.serial("the tarball holds what a consumer needs and nothing else", (t) => {
  const paths = packed.files.map(({ path }) => path);
  const allowed =
    /^(dist|src|native|prebuilds|schema)\/|^scripts\/build-native\.mjs$|^(package\.json|CMakeLists\.txt|README\.md|CHANGELOG\.md|LICENSE)$/;
  t.deepEqual(
    paths.filter((path) => !allowed.test(path) || path.startsWith("native/test/")),
    [],
  );
  const needed = ["dist/index.js", "dist/index.d.ts", "dist/cli/main.js", "LICENSE"];
  const others = ["CMakeLists.txt", "scripts/build-native.mjs", "schema/user-llm.schema.json"];
  for (const path of [...needed, ...others]) {
    t.true(paths.includes(path), path);
  }
  t.true(paths.some((path) => /^prebuilds\/[^/]+\/user_llm\.\w+\.node$/.test(path)));
  t.true(packed.size < 5e6, `${packed.size} bytes`);
});

test.serial(
  "it installs with no network and no compiler, and trains on its prebuilt binary",
  (t) => {
    const { binary, loss } = JSON.parse(run("node", ["consumer.mjs"], app, bare));
    t.regex(binary, /user-llm\/prebuilds\//);
    t.true(Number.isFinite(loss) && loss > 0, `loss ${loss}`);
  },
);

test.serial("its command line runs", (t) => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  t.is(run(join(app, "node_modules/.bin/user-llm"), ["--version"], app, bare).trim(), version);
});

test.serial("where no binary fits, the error names the command that builds one", (t) => {
  renameSync(join(installed, "prebuilds"), join(temp, "prebuilds"));
  const { status, stderr } = spawnSync("node", ["consumer.mjs"], {
    cwd: app,
    env: bare,
    encoding: "utf8",
  });
  renameSync(join(temp, "prebuilds"), join(installed, "prebuilds"));
  t.not(status, 0);
  t.regex(stderr, /npx user-llm build/);
});

// Minutes of compiling: a leg of .ci/run rather than a part of every `npm test`.
const testSourceBuild = process.env.USER_LLM_TEST_SOURCE_BUILD === "1" ? test.serial : test.skip;
testSourceBuild("user-llm build makes a binary from the tarball's sources", (t) => {
  t.timeout(1_800_000);
  const compilers = { ...process.env, HOME: bare.HOME };
  run(join(app, "node_modules/.bin/user-llm"), ["build"], app, compilers);
  const { binary, loss } = JSON.parse(run("node", ["consumer.mjs"], app, bare));
  t.regex(binary, /user-llm\/build\/Release\//);
  t.true(Number.isFinite(loss) && loss > 0, `loss ${loss}`);
});

/** Packs a folder into `temp`. */
function pack(folder: string): Packed {
  const flags = ["--json", "--ignore-scripts", "--pack-destination", temp];
  const [result] = JSON.parse(run("npm", ["pack", folder, ...flags], root)) as Packed[];
  if (result === undefined) throw new Error(`npm pack ${folder} packed nothing`);
  return result;
}

function run(
  name: string,
  args: string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): string {
  return execFileSync(name, args, { cwd, env, encoding: "utf8", stdio: "pipe" });
}

function findProgram(name: string): string {
  const candidates = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
  for (const path of candidates) {
    try {
      return realpathSync(path);
    } catch {}
  }
  throw new Error(`${name} is not on PATH`);
}
