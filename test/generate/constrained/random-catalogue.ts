/** Tiny random decoders and catalogues, and the ranking by definition: every string computed whole. */
import { Decoder, type DecoderOptions } from "../../../src/models/index.js";
import { Generator, noGrad } from "../../../src/ops/index.js";
import { tensor, tidy } from "../../../src/tensor/index.js";

export const vocabulary = 29;
/** The end token. */
export const end = 0;

const base: DecoderOptions = {
  ...{ vocabulary, width: 16, layers: 2, heads: 4, kvHeads: 2, hiddenWidth: 24, maxPositions: 48 },
  norm: { kind: "rms", eps: 1e-5 },
  positions: { base: 10_000, style: "half" },
  mlp: { kind: "gated", activation: "silu" },
};

export const kinds: Record<string, DecoderOptions> = {
  "rotary, grouped heads": base,
  "windows, soft caps": { ...base, windows: [3, undefined], softCap: 4 },
  "learned positions, tied": {
    ...{ ...base, kvHeads: 4, positions: "learned", tied: true },
    attention: { packed: true, inputBias: true },
    norm: { kind: "layer", eps: 1e-5 },
  },
};

/** Weights are large, so that probabilities are far from even. */
export function decoderOf(options: DecoderOptions, seed: number): Decoder {
  using generator = new Generator(seed);
  return new Decoder(options, { generator, std: 0.5 }).eval();
}

/** Whole numbers below a limit, the same ones for the same seed. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed * 7919 + 17;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return Math.floor((state / 2147483647) * below);
  };
}

/** Strings that begin alike often; some begin others, some come twice. */
export function randomStrings(count: number, seed: number): Int32Array[] {
  const random = randomNumbers(seed);
  const strings: Int32Array[] = [];
  while (strings.length < count) {
    const kind = strings.length === 0 ? 0 : random(10);
    const other = strings[random(strings.length)];
    const added = Array.from({ length: 1 + random(4) }, () => 1 + random(vocabulary - 1));
    if (kind < 3 || !other) strings.push(Int32Array.from(added));
    else if (kind === 3) strings.push(other.slice());
    else if (kind === 4) strings.push(other.slice(0, Math.max(1, other.length - 1)));
    else strings.push(Int32Array.from([...other.slice(0, 6), ...added].slice(0, 8)));
  }
  return strings;
}

export function randomPrompts(count: number, seed: number): Int32Array[] {
  const random = randomNumbers(seed + 1000);
  const ids = (length: number) => Array.from({ length }, () => random(vocabulary));
  const shared = ids(random(4));
  return Array.from({ length: count }, () => Int32Array.from([...shared, ...ids(1 + random(7))]));
}

/** The score of every string behind a prompt. */
export async function scoresByDefinition(
  decoder: Decoder,
  prompt: Int32Array,
  strings: readonly Int32Array[],
  endToken = end,
): Promise<number[]> {
  const counts = strings.map(({ length }) => prompt.length + length);
  const ids = Int32Array.from(strings.flatMap((string) => [...prompt, ...string]));
  const logits = tidy(() => noGrad(() => decoder.forward(tensor(ids), { counts })));
  const rows = (await logits.toArray()) as number[][];
  logits.dispose();
  let row = 0;
  return strings.map((string) => {
    let score = 0;
    row += prompt.length - 1;
    for (const token of [...string, endToken]) {
      const scores = rows[row++]!;
      score += scores[token]! - Math.log(scores.reduce((sum, x) => sum + Math.exp(x), 0));
    }
    return score;
  });
}
