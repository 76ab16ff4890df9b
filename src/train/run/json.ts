import { readFile } from "node:fs/promises";
import { replaceFile } from "../../data/files/replace-file.js";

/** JSON has no NaN and no infinities: they are written as these texts. `Number()` reads them back. */
const unwritable: readonly unknown[] = ["NaN", "Infinity", "-Infinity"];

/** JSON in which no number becomes `null`. */
export function toJson(value: unknown, indent?: number): string {
  const write = (_: string, part: unknown): unknown =>
    typeof part === "number" && !Number.isFinite(part) ? String(part) : part;
  return JSON.stringify(value, write, indent);
}

/** The number that `toJson` wrote; undefined for anything else. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return unwritable.includes(value) ? Number(value) : undefined;
}

/** A file of JSON as it stands: numbers that JSON lacks are texts still. */
export async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}

/** Whether it is an object, with whatever in it. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Puts an object in place as JSON that people can read. */
export async function replaceJson(path: string, value: object): Promise<void> {
  const text = `${toJson(value, 2)}\n`;
  await replaceFile(path, (append) => append(text));
}
