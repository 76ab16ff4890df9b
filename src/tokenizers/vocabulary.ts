import { type Place, shown } from "../data/files/json-place.js";
import type { Turns } from "./turns.js";

/** More than any model has; an id beyond is a mistake, and would ask for as much memory. */
const mostIds = 1 << 22;

/** Tokens and their ids, each once. */
export class Vocabulary {
  readonly #ids = new Map<string, number>();
  readonly #tokens: (string | undefined)[] = [];

  /** One more than the largest id. */
  get size(): number {
    return this.#tokens.length;
  }

  id(token: string): number | undefined {
    return this.#ids.get(token);
  }

  token(id: number): string | undefined {
    return this.#tokens[id];
  }

  /** @throws DataError when the id is none, or belongs to another token, or the token has another id */
  add(token: string, id: unknown, blame: () => Place): void {
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0 || id >= mostIds) {
      return blame().fail(`an id from 0 to ${mostIds - 1}`);
    }
    const before = this.#ids.get(token);
    if (before !== undefined && before !== id) blame().fail(`${before}, the id of this token`);
    const owner = this.#tokens[id];
    if (owner !== undefined && owner !== token) {
      blame().fail(`an id of its own; ${shown(owner)} has this one`);
    }
    this.#ids.set(token, id);
    while (this.#tokens.length < id) this.#tokens.push(undefined);
    this.#tokens[id] = token;
  }
}

/** `{ "the": 262, ... }` */
export async function readVocabulary(place: Place, turns: Turns): Promise<Vocabulary> {
  const vocabulary = new Vocabulary();
  const { value } = place;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    place.fail("an object of tokens and their ids");
  }
  for (const [token, id] of Object.entries(value)) {
    vocabulary.add(token, id, () => place.get(token));
    if (turns.over) await turns.next();
  }
  if (vocabulary.size === 0) place.fail("at least one token");
  return vocabulary;
}
