/** Keys and values of configurations, as plain objects. */

export type ConfigObject = { [key: string]: unknown };
export type ConfigPath = readonly (string | number)[];

/** Keys that could reach the prototypes of objects; refused wherever they come. */
const forbidden = ["__proto__", "constructor", "prototype"];

/** What is wrong with a key, whatever the schema says. */
export function keyFault(key: unknown): string | undefined {
  if (typeof key !== "string") return "keys are texts";
  if (forbidden.includes(key)) return `"${key}" is not allowed as a key`;
  if (key === "<<") return "merge keys (<<) are not supported";
  return undefined;
}

export const isConfigObject = (value: unknown): value is ConfigObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `value`, wrapped in an object for every key of the path. */
export function nest(path: readonly string[], value: unknown): ConfigObject {
  return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as ConfigObject;
}

/** The value at a path; undefined where there is none. */
export function valueAt(value: unknown, path: ConfigPath): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) {
      return undefined;
    }
    current = (current as ConfigObject)[key];
  }
  return current;
}

/** `over` laid over `under`: objects are merged key by key, anything else replaces what was there. Neither changes. */
export function merge(under: unknown, over: unknown): unknown {
  if (!isConfigObject(over)) return over;
  const merged: ConfigObject = isConfigObject(under) ? { ...under } : {};
  for (const [key, value] of Object.entries(over)) {
    const previous = Object.hasOwn(merged, key) ? merged[key] : undefined;
    Object.defineProperty(merged, key, {
      value: merge(previous, value),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return merged;
}
