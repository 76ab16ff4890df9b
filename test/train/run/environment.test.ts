/** Where a run took place. */
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { gitCommit } from "../../../src/train/run/git-commit.js";
import { temporary } from "./temporary.js";

const commit = "3d8a246d68a227b9493bb0f5ad279520bdfdeac0";

test("the commit of a working directory, without git", async (t) => {
  const folder = await temporary(t);
  const git = join(folder, ".git");
  const below = join(folder, "a/b");
  await mkdir(below, { recursive: true });
  t.is(await gitCommit(below), null);
  await mkdir(join(git, "refs/heads/work"), { recursive: true });
  await writeFile(join(git, "HEAD"), "ref: refs/heads/work/now\n");
  t.is(await gitCommit(below), null);
  await writeFile(join(git, "packed-refs"), `# pack-refs\n${commit} refs/heads/work/now\n`);
  t.deepEqual(await gitCommit(below), { commit, branch: "work/now" });
  const newer = commit.replaceAll("3", "4");
  await writeFile(join(git, "refs/heads/work/now"), `${newer}\n`);
  t.deepEqual(await gitCommit(below), { commit: newer, branch: "work/now" });
  await writeFile(join(git, "HEAD"), `${commit}\n`);
  t.deepEqual(await gitCommit(below), { commit, branch: null });
  await writeFile(join(git, "HEAD"), "ref: ../../secret\n");
  t.is(await gitCommit(below), null);
});

test("a further working tree, as git makes it", async (t) => {
  const folder = await temporary(t);
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    git("--version");
  } catch {
    t.log("git is not installed");
    return;
  }
  git("init", "-b", "trunk");
  git("commit", "--allow-empty", "-m", "first");
  git("worktree", "add", "-b", "side", "tree");
  const expected = git("rev-parse", "HEAD");
  t.deepEqual(await gitCommit(folder), { commit: expected, branch: "trunk" });
  t.deepEqual(await gitCommit(join(folder, "tree")), { commit: expected, branch: "side" });
});
