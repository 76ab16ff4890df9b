/**
 * Every TypeScript block of the README and of docs/ runs as it stands, and prints something; so does every block of
 * `user-llm` commands that needs neither the network nor minutes. They run in a folder with small raw files under the
 * names that the pages use, and the page's YAML as `cfg.yaml`.
 */
import { execFile } from "node:child_process";
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";

const root = fileURLToPath(new URL("../../", import.meta.url));
const cli = join(root, "src/cli/main.ts");
const run = promisify(execFile);
const tsx = import.meta.resolve("tsx");
const pages = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .map((name) => join("docs", name));

for (const page of ["README.md", ...pages]) {
  const text = readFileSync(join(root, page), "utf8");
  for (const [i, code] of blocks(text, "ts").entries()) {
    test(`${page}, block ${i + 1} runs`, async (t) => {
      const folder = await workFolder(t);
      await writeFile(
        join(folder, "snippet.mts"),
        code.replace(/from "user-llm(\/\w+)?"/g, source),
      );
      const args = [`--import=${tsx}`, "snippet.mts"];
      const { stdout } = await run(process.execPath, args, { cwd: folder });
      t.log(stdout.trim());
      t.not(stdout, "");
    });
  }
  const commands = blocks(text, "sh").filter(
    (block) => block.startsWith("user-llm ") && !/ download | build| ml-20m/.test(block),
  );
  if (commands.length > 0 && process.platform !== "win32") {
    test(`${page}, commands run`, async (t) => {
      const cwd = await workFolder(t);
      const [yaml] = blocks(text, "yaml");
      if (yaml !== undefined) await writeFile(join(cwd, "cfg.yaml"), yaml);
      const script = `user-llm() { "${process.execPath}" "--import=${tsx}" "${cli}" "$@"; }`;
      for (const block of commands) {
        const { stdout } = await run("bash", ["-ec", `${script}\n${block}`], { cwd });
        t.log(`${block}${stdout.trim()}`);
        t.not(stdout, "");
      }
    });
  }
}

function blocks(text: string, language: string): string[] {
  const fences = text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"));
  return [...fences].map(([, code = ""]) => code);
}

/** The package by its own name is its sources. */
function source(_: string, part = ""): string {
  return `from "${pathToFileURL(join(root, `src${part}/index.ts`)).href}"`;
}

/** A folder with the raw files that pages name, and with the packages of the project. */
async function workFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-snippet-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const fixtures = join(root, "test/data/fixtures");
  cpSync(join(root, "test/docs/files"), folder, { recursive: true });
  for (const [fixture, name] of [
    ["movielens-csv", "ml-latest-small"],
    ["amazon-2018", "amazon-2018"],
    ["google-local", "google-local"],
  ] as const) {
    cpSync(join(fixtures, fixture), join(folder, name), { recursive: true });
  }
  cpSync(join(root, "test/golden/tokenizers/qwen2"), join(folder, "qwen2-small"), {
    recursive: true,
  });
  cpSync(join(root, "test/golden/generation"), join(folder, "models/tiny"), { recursive: true });
  await symlink(join(root, "node_modules"), join(folder, "node_modules"), "junction");
  return folder;
}
