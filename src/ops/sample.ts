import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { defaultGenerator, type RandomOptions } from "./random.js";

const sampleOp = defineOp({
  name: "sample",
  inputs: ["logits", "state"],
  attributes: ["temperature", "top_k", "top_p", "min_p", "call"],
  outputs: ["ids", "log_probability?"],
  gradient: { none: "draws are whole numbers" },
});

export interface SampleOptions extends RandomOptions {
  /** Divides the logits; 0 takes the largest, of equal ones the first. Default: 1. */
  temperature?: number | undefined;
  /**
   * Leaves the classes whose logit is not below the `topK`-th largest: more than `topK` where that one has equals.
   * 0 leaves all. Default: 0.
   */
  topK?: number | undefined;
  /**
   * Leaves the fewest of the most probable classes that have this probability together, at least one; of equal ones
   * those with the smaller index. Default: 1, which leaves all.
   */
  topP?: number | undefined;
  /** Leaves the classes with at least this share of the largest probability. Default: 0, which leaves all. */
  minP?: number | undefined;
}

/** A drawn class, and how probable it was. */
export interface Sample {
  /** `[...]`, int32. */
  ids: Tensor;
  /** `[...]`, in the dtype of the logits: of the drawn class under softmax(logits), before temperature and filters. */
  logProbability: Tensor;
}

/**
 * Draws a class for each row of logits.
 *
 *     probability ∝ exp(logits / temperature) over the classes that the filters leave
 *
 * The filters apply in the order temperature, `topK`, `topP`, `minP`: `topP` measures probabilities among what `topK`
 * left, as generation in Hugging Face's transformers does. Logits of -∞ are never drawn. No gradient.
 *
 * Each call takes one call number of the generator. Row `r` uses the number that `rand()` gives element `r` in float64:
 * a restored generator draws the same again, on any number of threads.
 *
 * @param logits `[..., classes]`, float32 or float64. A row with a NaN or +∞, or without a finite number, is a fault
 * @returns      `[...]`, int32
 * @throws ShapeError when there are no classes
 * @throws UsageError when an option is out of its range
 * @see Holtzman et al., "The curious case of neural text degeneration", arXiv:1904.09751 (top-p)
 * @see Nguyen et al., "Turning up the heat: min-p sampling", arXiv:2407.01082
 */
export function sample(logits: Tensor, options: SampleOptions = {}): Tensor {
  const [ids] = draw(logits, options, false);
  return ids;
}

/** {@link sample}, with the model's log-probability of what was drawn. */
export function sampleWithLogProbability(logits: Tensor, options: SampleOptions = {}): Sample {
  const [ids, logProbability] = draw(logits, options, true);
  return { ids, logProbability: logProbability! };
}

function draw(
  logits: Tensor,
  { generator = defaultGenerator, temperature = 1, topK = 0, topP = 1, minP = 0 }: SampleOptions,
  log_probability: boolean,
) {
  const { state, call } = generator.next();
  return sampleOp(
    { logits, state },
    { temperature, top_k: topK, top_p: topP, min_p: minP, call },
    { log_probability },
  );
}
