import { UsageError } from "../errors.js";
import { requireLive, type Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { defaultGenerator, type Generator } from "./random.js";
import { type RotaryStyle, rotaryStyles } from "./rotary.js";
import { isRecorded } from "./tape.js";

const inputs = [
  "query",
  "key?",
  "value?",
  "query_offsets?",
  "key_offsets?",
  "key_lengths?",
  "rows?",
  "rotary?",
  "state?",
] as const;
const attributes = [
  "heads",
  "kv_heads",
  "packed",
  "causal",
  "window",
  "soft_cap",
  "scale",
  "rotary_style",
  "rotates_keys",
  "dropout",
  "call",
] as const;

const forward = defineOp({
  name: "attention",
  inputs,
  attributes,
  outputs: ["result", "log_sum_exp?"],
  gradient: {
    saves: [
      "query",
      "key",
      "value",
      "query_offsets",
      "key_offsets",
      "key_lengths",
      "rows",
      "rotary",
      "state",
      "result",
      "log_sum_exp",
    ],
    rule({ saved, attributes, grad, needs }) {
      if (needs.rotary)
        throw new UsageError("attention: a rotary table has no gradient; detach it from the loss");
      const [query, key, value] = backward(
        { ...saved, log_sum_exp: saved.log_sum_exp!, grad },
        attributes,
        { query_grad: needs.query, key_grad: needs.key, value_grad: needs.value },
      );
      return { query, key, value };
    },
  },
});

const backward = defineOp({
  name: "attention_backward",
  inputs: [...inputs, "grad", "result", "log_sum_exp"],
  attributes,
  outputs: ["query_grad?", "key_grad?", "value_grad?"],
  gradient: { none: "second derivatives are not supported" },
});

/** What any attention may be told. */
export interface AttentionRules {
  /** A query sees the keys up to its own position; the last query stands at the last key. Default: false. */
  causal?: boolean | undefined;
  /** How many keys a query sees back from its position, itself included; ahead as many, unless causal. */
  window?: number | undefined;
  /** Bounds the scores: `softCap · tanh(score / softCap)`. */
  softCap?: number | undefined;
  /** Multiplies the scores before the softmax. Default: `1 / √headWidth`. */
  scale?: number | undefined;
  /** Turns queries and keys by their positions. */
  rotary?: Rotary | undefined;
  /** Probability with which a probability is zeroed, the others scaled by `1 / (1 - dropout)`. Default: 0. */
  dropout?: number | undefined;
  /** Of dropout. Default: the process's, which `seed()` sets. */
  generator?: Generator | undefined;
}

export interface Rotary {
  /** `[positions, rotaryWidth / 2, 2]` in the dtype of the queries: see {@link rotaryTable}. A constant for gradients. */
  table: Tensor;
  style: RotaryStyle;
  /** False where the keys have been turned before, as in a cache. Default: true. */
  rotatesKeys?: boolean | undefined;
}

export interface AttentionOptions extends AttentionRules {
  /** Query heads, where `query` also packs heads of keys and values, which are not read. */
  heads?: number | undefined;
  /** Ragged queries, `[tokens, heads, headWidth]`: sequence b is tokens `[offsets[b], offsets[b + 1])`; int32 `[batch + 1]`. */
  queryOffsets?: Tensor | undefined;
  /** Ragged keys, `[keyTokens, kvHeads, headWidth]`: int32 `[batch + 1]`. */
  keyOffsets?: Tensor | undefined;
  /** How many keys of each sequence count; the others are padding. int32 `[batch]`. */
  keyLengths?: Tensor | undefined;
  /** Key j of sequence b is row `rows[b, j]` of `[storedRows, kvHeads, headWidth]`; int32 `[batch, keys]`. */
  rows?: Tensor | undefined;
}

/**
 * Attention of queries over the keys of another sequence, or of a cache, per head; the matrix of scores is never stored.
 *
 *     softmax(scale · query · keyᵀ) · value
 *
 * Query i of L stands at position `keys - L + i` of its sequence: the last query at the last key. Layouts of queries and
 * keys are independent of each other. A query that sees no key yields zeros, with zero gradients.
 *
 * @param query `[batch, queries, heads, headWidth]`, or ragged `[tokens, heads, headWidth]`; float32 or float64
 * @param key   `[batch, keys, kvHeads, headWidth]`, ragged, or a store of rows. `heads` is a multiple of `kvHeads`: query
 *              head h reads key head `floor(h / (heads / kvHeads))`
 * @param value as `key`
 * @returns     as `query`. Offsets, lengths, rows or positions that do not fit are a fault
 * @throws ShapeError, DTypeError, UsageError
 * @see Dao, "FlashAttention-2", arXiv:2307.08691; Ainslie et al., "GQA", arXiv:2305.13245
 */
export function attention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const [result] = attendTo(query, key, value, options, isRecorded(query, key, value));
  return result;
}

function attendTo(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  { heads, queryOffsets, keyOffsets, keyLengths, rows, ...rules }: AttentionOptions,
  logSumExp: boolean,
) {
  requireLive("attention", "query", query);
  requireLive("attention", "key", key);
  requireLive("attention", "value", value);
  const all = query.shape.at(-2) ?? 0;
  return attend(
    {
      query,
      key,
      value,
      query_offsets: queryOffsets,
      key_offsets: keyOffsets,
      key_lengths: keyLengths,
      rows,
    },
    { heads: heads ?? all, kvHeads: key.shape.at(-2) ?? 0, packed: (heads ?? all) !== all },
    rules,
    logSumExp,
  );
}

/**
 * As {@link attention}, with the logarithm of what each softmax divided by: what is needed to join attention over parts
 * of the keys. No gradient.
 *
 *     logSumExp[token, head] = log Σ exp(score)        -∞ for a query that sees no key
 *
 * @returns result as `query`, and logSumExp as `query` without its last dimension
 * @throws UsageError inside `valueAndGrad`
 */
export function attentionPart(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): { result: Tensor; logSumExp: Tensor } {
  if (isRecorded(query, key, value))
    throw new UsageError("attentionPart: has no gradient; use attention");
  const [result, logSumExp] = attendTo(query, key, value, options, true);
  return { result, logSumExp: logSumExp! };
}

export interface SelfAttentionOptions extends AttentionRules {
  /** Query heads. Default: a third of the packed heads, as many as there are of keys and of values. */
  heads?: number | undefined;
  /** Ragged sequences, `[tokens, heads + 2 · kvHeads, headWidth]`: int32 `[batch + 1]`. */
  offsets?: Tensor | undefined;
  /** How many tokens of each sequence count; padding yields zeros, with zero gradients. int32 `[batch]`. */
  lengths?: Tensor | undefined;
}

/**
 * Attention of sequences over themselves. Queries, keys and values are read where one projection has put them, side by
 * side, and their gradient is one tensor.
 *
 *     softmax(scale · query · keyᵀ) · value        per head
 *
 * @param packed `[batch, length, heads + 2 · kvHeads, headWidth]`: the query heads, the key heads, the value heads; or
 *               ragged. float32 or float64
 * @returns      `[batch, length, heads, headWidth]`, or `[tokens, heads, headWidth]`. Offsets or lengths that do not
 *               fit are a fault
 * @throws ShapeError, DTypeError, UsageError
 * @see {@link attention} for grouped heads and what the rules mean
 */
export function selfAttention(
  packed: Tensor,
  { heads, offsets, lengths, ...rules }: SelfAttentionOptions = {},
): Tensor {
  requireLive("selfAttention", "packed", packed);
  const all = packed.shape.at(-2) ?? 0;
  const queryHeads = heads ?? all / 3;
  const kvHeads = (all - queryHeads) / 2;
  if (!(Number.isInteger(queryHeads) && Number.isInteger(kvHeads) && queryHeads > 0 && kvHeads > 0))
    throw new UsageError(
      `selfAttention: packed [${packed.shape}] must have heads of queries and as many of keys as of values; ${all} are not ${heads === undefined ? "three times as many of each" : `${heads} and two times more`}`,
    );
  const [result] = attend(
    { query: packed, query_offsets: offsets, key_lengths: lengths },
    { heads: queryHeads, kvHeads, packed: true },
    rules,
    isRecorded(packed),
  );
  return result;
}

function attend(
  given: Omit<Parameters<typeof forward>[0], "rotary" | "state">,
  { heads, kvHeads, packed }: { heads: number; kvHeads: number; packed: boolean },
  {
    causal = false,
    window = 0,
    softCap = 0,
    scale,
    rotary,
    dropout = 0,
    generator = defaultGenerator,
  }: AttentionRules,
  logSumExp: boolean,
) {
  if (rotary && !(rotaryStyles.indexOf(rotary.style) > 0))
    throw new UsageError(
      `attention: rotary.style must be "interleaved" or "half", got "${rotary.style}"`,
    );
  if (!(dropout >= 0 && dropout < 1))
    throw new UsageError(`attention: dropout must be in [0, 1), got ${dropout}`);
  const { query } = given;
  const random = dropout > 0 ? generator.next() : undefined;
  return forward(
    { ...given, rotary: rotary?.table, state: random?.state },
    {
      heads,
      kv_heads: kvHeads,
      packed: Number(packed),
      causal: Number(causal),
      window,
      soft_cap: softCap,
      scale: scale ?? 1 / Math.sqrt(Math.max(1, query.shape.at(-1) ?? 1)),
      rotary_style: rotary ? rotaryStyles.indexOf(rotary.style) : 0,
      rotates_keys: Number(rotary ? (rotary.rotatesKeys ?? true) : false),
      dropout,
      call: random?.call ?? 0,
    },
    { log_sum_exp: logSumExp },
  );
}
