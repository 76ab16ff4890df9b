import type { Place } from "../data/files/json-place.js";
import { type AddedToken, readAddedToken } from "./added-tokens.js";
import { optional } from "./optional.js";
import type { Vocabulary } from "./vocabulary.js";

/** Ids of the tokens with a role; absent where the tokenizer has none. */
export interface SpecialIds {
  /** Begins a sequence. */
  readonly bos?: number;
  /** Ends a sequence. */
  readonly eos?: number;
  readonly pad?: number;
  /** Stands for what no token stands for. */
  readonly unk?: number;
}

const roles = ["bos", "eos", "pad", "unk"] as const;
const otherRoles = ["sep", "cls", "mask"] as const;

/** The tokens with a role, by name: `{ bos_token: "<s>" }`. Chat templates see these. */
export type SpecialTokens = ReadonlyMap<string, string>;

/** What tokenizer_config.json says, or special_tokens_map.json where it says nothing. */
export function readSpecialTokens(config: Place, map: Place): SpecialTokens {
  const tokens = new Map<string, string>();
  for (const role of [...roles, ...otherRoles]) {
    const name = `${role}_token`;
    const token = optional(config.get(name), tokenText) ?? optional(map.get(name), tokenText);
    if (token !== undefined) tokens.set(name, token);
  }
  return tokens;
}

/** `"<s>"` or `{ "content": "<s>", ... }` */
function tokenText(place: Place): string {
  return typeof place.value === "string" ? place.value : place.get("content").text();
}

export function specialIds(
  tokens: SpecialTokens,
  config: Place,
  vocabulary: Vocabulary,
  unknown: string | undefined,
): SpecialIds {
  const ids: { bos?: number; eos?: number; pad?: number; unk?: number } = {};
  for (const role of roles) {
    const name = `${role}_token`;
    const token = tokens.get(name) ?? (role === "unk" ? unknown : undefined);
    if (token === undefined) continue;
    ids[role] = vocabulary.id(token) ?? config.get(name).fail("a token of tokenizer.json");
  }
  return ids;
}

/** The tokens to find in a text: those of tokenizer.json, and those that the other files name besides. */
export function readAddedTokens(
  file: Place,
  config: Place,
  specials: SpecialTokens,
  vocabulary: Vocabulary,
): AddedToken[] {
  const added = new Map<string, AddedToken>();
  const add = (token: AddedToken, blame: () => Place): void => {
    // Hugging Face's library numbers them itself, whatever the file says.
    if (vocabulary.id(token.content) === undefined && token.id !== vocabulary.size) {
      blame().fail(`${vocabulary.size}, the next free id`);
    }
    vocabulary.add(token.content, token.id, blame);
    if (!added.has(token.content)) added.set(token.content, token);
  };

  for (const place of optional(file.get("added_tokens"), (list) => list.list()) ?? []) {
    const id = place.get("id");
    add(readAddedToken(place, id.count()), () => id);
  }
  const decoder = config.get("added_tokens_decoder");
  for (const id of Object.keys(optional(decoder, (given) => given.value as object) ?? {})) {
    const place = decoder.get(id);
    add(readAddedToken(place, Number(id)), () => place);
  }
  for (const [name, content] of namedTokens(config, specials)) {
    const id = vocabulary.id(content) ?? name.fail("a token of tokenizer.json");
    const plain = { singleWord: false, lstrip: false, rstrip: false, normalized: false };
    add({ id, content, ...plain, special: true }, () => name);
  }
  return [...added.values()];
}

function namedTokens(config: Place, specials: SpecialTokens): [Place, string][] {
  const named: [Place, string][] = [...specials].map(([name, token]) => [config.get(name), token]);
  for (const key of ["additional_special_tokens", "extra_special_tokens"]) {
    const place = config.get(key);
    if (!Array.isArray(place.value)) continue;
    for (const entry of place.list()) named.push([entry, tokenText(entry)]);
  }
  return named;
}
