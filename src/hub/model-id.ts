import { UsageError } from "../errors.js";

/** A model of the hub, at one of its revisions. */
export interface ModelId {
  /** `org/name`; the oldest models have no organisation. */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/**
 * Reads `org/name` or `org/name@revision`.
 *
 * @throws UsageError when it cannot be one
 */
export function parseModelId(text: string, revision?: string): ModelId {
  const [, name = "", own] = /^([^@]*)(?:@(.*))?$/s.exec(text) ?? [];
  const parts = name.split("/");
  const fits = parts.length <= 2 && name.length <= 96 && parts.every(isPart);
  if (!fits)
    throw new UsageError(
      `"${text}" is neither a folder here nor the id of a model on the hub, which is like org/name`,
    );
  if (own !== undefined && revision !== undefined && own !== revision)
    throw new UsageError(`"${text}" names a revision, and the options name another, "${revision}"`);
  const chosen = own ?? revision ?? "main";
  if (/^[\w][\w.+-]*(\/[\w][\w.+-]*)*$/.test(chosen) && !chosen.includes(".."))
    return { name, revision: chosen };
  throw new UsageError(`"${chosen}" is not a revision: a branch, a tag or a commit`);
}

/** Letters, digits, `-`, `_` and `.`, as the hub has it; `--` stands for the slash in the cache. */
const isPart = (part: string): boolean =>
  /^\w([\w.-]*\w)?$/.test(part) && !part.includes("--") && !part.includes("..");

/** Whether it is a commit, which never changes. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);
