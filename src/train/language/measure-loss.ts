import type { EncoderLoss, TokenBatch } from "../../models/index.js";
import { noGrad } from "../../ops/index.js";
import type { LongCall } from "../../progress.js";
import { Pacer, tidy } from "../../tensor/index.js";
import { TokenBatches } from "./token-batches.js";
import type { TokenSequences } from "./token-sequences.js";

export interface MeasureLossOptions extends LongCall {
  /** Most inputs of a batch. */
  tokens: number;
}

/** How well a model foretells tokens. */
export interface LanguageLoss {
  /** Mean cross-entropy of a token, in nats. */
  readonly loss: number;
  /** `exp(loss)`: as unsure as a draw among so many tokens. */
  readonly perplexity: number;
  /** `-loss`: the mean log-probability of a token, so that higher is better. */
  readonly logLikelihood: number;
  /** Tokens that were foretold. */
  readonly tokens: number;
}

/**
 * Measures the loss of all targets that count, once. The model stays in the mode that it is in.
 *
 * @throws UsageError when a sequence is longer than a batch, or there is none
 */
export async function measureLoss(
  model: { loss(batch: TokenBatch): EncoderLoss },
  sequences: TokenSequences,
  { tokens, signal, onProgress }: MeasureLossOptions,
): Promise<LanguageLoss> {
  const batches = await TokenBatches.open(sequences, { tokens, shuffle: false });
  const pacer = new Pacer();
  const sums: Promise<number>[] = [];
  let counted = 0;
  try {
    for await (const batch of batches) {
      signal?.throwIfAborted();
      const { loss, count } = tidy(() => {
        const { loss, count } = noGrad(() => model.loss(batch));
        return { loss, count };
      });
      const sum = loss.item().then((mean) => mean * count);
      sum.catch(() => undefined); // awaited below
      loss.dispose();
      sums.push(sum);
      counted += count;
      onProgress?.({
        task: "validating",
        done: sums.length,
        total: batches.batches,
        unit: "steps",
      });
      await pacer.next();
      if (sums.length === batches.batches) break;
    }
  } finally {
    await pacer.finish();
  }
  const loss = (await Promise.all(sums)).reduce((total, sum) => total + sum, 0) / counted;
  return { loss, perplexity: Math.exp(loss), logLikelihood: -loss, tokens: counted };
}
