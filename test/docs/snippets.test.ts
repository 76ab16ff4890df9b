/** Every TypeScript block of the README and of docs/ runs as it stands, and prints something. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const root = fileURLToPath(new URL("../../", import.meta.url));
const entry = (part: string): string => pathToFileURL(join(root, "src", part, "index.ts")).href;
const pages = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .map((name) => join("docs", name));

for (const page of ["README.md", ...pages]) {
  const text = readFileSync(join(root, page), "utf8");
  for (const [i, [, code = ""]] of [...text.matchAll(/^```ts\n(.*?)^```$/gms)].entries())
    test(`${page}, block ${i + 1} runs`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "user-llm-snippet-"));
      t.teardown(() => rm(folder, { recursive: true }));
      const file = join(folder, "snippet.mts");
      await writeFile(
        file,
        code.replace(/from "user-llm\/?(.*)"/g, (_, part: string) => `from "${entry(part)}"`),
      );
      const { stdout } = await promisify(execFile)(process.execPath, ["--import=tsx", file], {
        cwd: root,
      });
      t.log(stdout.trim());
      t.not(stdout, "");
    });
}
