/** Every TypeScript block of the README and of docs/ runs, as it stands. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pages = [
  "README.md",
  ...(await readdir(join(root, "docs")))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const entry = pathToFileURL(join(root, "src/index.ts")).href;

for (const page of pages) {
  const text = await readFile(join(root, page), "utf8");
  [...text.matchAll(/^```ts\n(.*?)^```$/gms)].forEach(([, code], i) => {
    if (!code!.includes('from "user-llm"')) return;
    test(`${page}, block ${i + 1} runs`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "user-llm-snippet-"));
      t.teardown(() => rm(folder, { recursive: true }));
      const file = join(folder, "snippet.mts");
      await writeFile(file, code!.replaceAll('from "user-llm"', `from "${entry}"`));
      const { stdout } = await promisify(execFile)(process.execPath, ["--import=tsx", file], {
        cwd: root,
      });
      t.not(stdout, "", "prints something");
    });
  });
}
