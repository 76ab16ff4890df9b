import { setImmediate } from "node:timers/promises";
import type { Dictionary } from "../dictionary.js";

const namesAtOnce = 1 << 15;

/** The names of a dictionary: all, or those of some indices. Millions take seconds, so others get their turn. */
export async function namesOf(
  dictionary: Dictionary,
  indices?: readonly number[],
): Promise<string[]> {
  const names: string[] = [];
  const count = indices?.length ?? dictionary.size;
  for (let place = 0; place < count; place++) {
    names.push(dictionary.name(indices === undefined ? place : indices[place]!));
    if (place % namesAtOnce === namesAtOnce - 1) await setImmediate();
  }
  return names;
}
