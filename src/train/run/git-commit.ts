import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

/** Where a working directory stands in its git repository. */
export interface GitCommit {
  readonly commit: string;
  /** Null when no branch is checked out. */
  readonly branch: string | null;
}

/** The commit that is checked out at a folder or above; null where there is none. git itself is not needed. */
export async function gitCommit(folder: string): Promise<GitCommit | null> {
  try {
    const repository = await findRepository(resolve(folder));
    if (repository === undefined) return null;
    const head = (await readFile(join(repository, "HEAD"), "utf8")).trim();
    const [, reference] = /^ref: (\S+)$/.exec(head) ?? [];
    if (reference === undefined) return isCommit(head) ? { commit: head, branch: null } : null;
    const commit = await resolveReference(repository, reference);
    return commit === undefined ? null : { commit, branch: reference.replace("refs/heads/", "") };
  } catch {
    return null;
  }
}

/** `.git`, or the folder that a file `.git` of a further working tree or a submodule names. */
async function findRepository(folder: string): Promise<string | undefined> {
  for (let place = folder; ; place = dirname(place)) {
    const path = join(place, ".git");
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory()) return path;
    if (found?.isFile()) {
      const [, target] = /^gitdir: (.+)$/m.exec(await readFile(path, "utf8")) ?? [];
      return target === undefined ? undefined : resolve(place, target);
    }
    if (dirname(place) === place) return undefined;
  }
}

async function resolveReference(
  repository: string,
  reference: string,
): Promise<string | undefined> {
  const common = await readFile(join(repository, "commondir"), "utf8").catch(() => ".");
  const shared = resolve(repository, common.trim());
  for (const place of [repository, shared]) {
    const text = await readFile(join(place, reference), "utf8").catch(() => "");
    if (isCommit(text.trim())) return text.trim();
  }
  const packed = await readFile(join(shared, "packed-refs"), "utf8").catch(() => "");
  const line = packed.split("\n").find((entry) => entry.endsWith(` ${reference}`));
  return line?.split(" ")[0];
}

const isCommit = (text: string): boolean => /^[0-9a-f]{40,64}$/.test(text);
