import { open } from "node:fs/promises";
import { CheckpointError, UserLlmError } from "../../../errors.js";
import { jsonFault } from "./json-fault.js";

/** What a file of JSON holds, at its top. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** More than any file that describes a model has; nobody is to read gigabytes because a name says `config.json`. */
const maxBytes = 1 << 24;

/**
 * Reads a file of JSON that belongs to a model, `config.json` or the like.
 *
 * @throws CheckpointError when it is not there, is not JSON (with the line), or holds anything but an object
 */
export async function readJsonObject(path: string): Promise<JsonObject> {
  const found = await readJsonObjectIfThere(path);
  if (found === undefined) throw new CheckpointError(`${path}: no such file`);
  return found;
}

/** As {@link readJsonObject}, for a file that need not be there: undefined then. */
export async function readJsonObjectIfThere(path: string): Promise<JsonObject | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const { line, column, problem } = jsonFault(text);
    throw new CheckpointError(`${path}, line ${line}, column ${column}: not JSON: ${problem}`, {
      cause,
    });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as JsonObject;
  throw new CheckpointError(`${path}: must hold an object, { ... }, got ${kindOf(value)}`);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, "r");
    try {
      const status = await file.stat();
      if (!status.isFile()) throw new CheckpointError(`${path}: not a regular file`);
      if (status.size > maxBytes)
        throw new CheckpointError(
          `${path}: has ${status.size} bytes, must have at most ${maxBytes}`,
        );
      const text = await file.readFile("utf8");
      return text.startsWith("\ufeff") ? text.slice(1) : text;
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof UserLlmError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new CheckpointError(`${path}: cannot be read: ${message}`, { cause });
  }
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}
