import type { ValueColumn } from "./value-row.js";

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * A column of records of nested values: by its whole name, or where a record has no such name, by a path `a.b` of names
 * and positions in lists.
 */
export function jsonColumn(name: string, record: () => JsonObject): ValueColumn {
  const steps = name.split(".");
  if (steps.length === 1) return { name, get: () => member(record(), name) };
  return {
    name,
    get: () => {
      const object = record();
      return Object.hasOwn(object, name) ? object[name] : steps.reduce(member, object as unknown);
    },
  };
}

/** Only what the data has: not what every object inherits, nor the length of a list. */
function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value) && name === "length") return undefined;
  return Object.hasOwn(value, name) ? (value as JsonObject)[name] : undefined;
}
