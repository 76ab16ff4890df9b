/** `tokenizer.json` of a byte-level BPE, as Hugging Face's libraries read it. */
export interface ByteLevelBpeJson {
  readonly version: "1.0";
  readonly truncation: null;
  readonly padding: null;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: null;
  readonly pre_tokenizer: ByteLevel;
  readonly post_processor: TemplateProcessing | null;
  readonly decoder: ByteLevel;
  readonly model: {
    readonly type: "BPE";
    readonly dropout: null;
    readonly unk_token: null;
    readonly continuing_subword_prefix: null;
    readonly end_of_word_suffix: null;
    readonly fuse_unk: false;
    readonly byte_fallback: false;
    readonly ignore_merges: false;
    /** Numbers of tokens. */
    readonly vocab: Readonly<Record<string, number>>;
    /** The first comes first. */
    readonly merges: readonly (readonly [left: string, right: string])[];
  };
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: false;
  readonly lstrip: false;
  readonly rstrip: false;
  readonly normalized: false;
  readonly special: true;
}

interface ByteLevel {
  readonly type: "ByteLevel";
  readonly add_prefix_space: boolean;
  readonly trim_offsets: true;
  readonly use_regex: true;
}

/** Puts a token in front of every text. */
interface TemplateProcessing {
  readonly type: "TemplateProcessing";
  readonly single: readonly TemplatePiece[];
  readonly pair: readonly TemplatePiece[];
  readonly special_tokens: Readonly<
    Record<
      string,
      { readonly id: string; readonly ids: readonly number[]; readonly tokens: readonly string[] }
    >
  >;
}

type TemplatePiece =
  | { readonly SpecialToken: { readonly id: string; readonly type_id: number } }
  | { readonly Sequence: { readonly id: "A" | "B"; readonly type_id: number } };

/** What a vocabulary consists of. */
export interface Vocabulary {
  /** The first of all tokens. */
  readonly specialTokens: readonly string[];
  /** All tokens, by number. */
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [left: string, right: string])[];
  /** The special token that a text begins with. */
  readonly begin?: string | undefined;
}

const byteLevel = { type: "ByteLevel", trim_offsets: true, use_regex: true } as const;

export function tokenizerJson({
  specialTokens,
  tokens,
  merges,
  begin,
}: Vocabulary): ByteLevelBpeJson {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false },
      ...{ normalized: false, special: true },
    })),
    normalizer: null,
    pre_tokenizer: { ...byteLevel, add_prefix_space: false },
    post_processor: begin === undefined ? null : beginningWith(begin, tokens.indexOf(begin)),
    decoder: { ...byteLevel, add_prefix_space: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

function beginningWith(token: string, id: number): TemplateProcessing {
  const piece = (type_id: number): TemplatePiece => ({ SpecialToken: { id: token, type_id } });
  const text = (id: "A" | "B", type_id: number): TemplatePiece => ({ Sequence: { id, type_id } });
  return {
    type: "TemplateProcessing",
    single: [piece(0), text("A", 0)],
    pair: [piece(0), text("A", 0), piece(1), text("B", 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
