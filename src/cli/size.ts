import { InvalidArgumentError } from "@commander-js/extra-typings";

const powers: Readonly<Record<string, number>> = { "": 0, k: 1, m: 2, g: 3, t: 4 };

/** Bytes of `512MB` (powers of 1000), `1.5GiB` (of 1024) or a number; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(i?)b)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, number = "", unit = "", binary = ""] = match;
  const bytes = Number(number) * (binary === "" ? 1000 : 1024) ** powers[unit.toLowerCase()]!;
  return bytes >= 1 && Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
}

/** For options of commander. */
export function sizeOption(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new InvalidArgumentError("Expected a size, as 512MB.");
  return bytes;
}

/** A whole number of an option, from `least`. */
export const wholeOption =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && Number.isSafeInteger(value)) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
  };
