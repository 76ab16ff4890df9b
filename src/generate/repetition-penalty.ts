import {
  arange,
  divide,
  embedding,
  equal,
  less,
  logicalOr,
  multiply,
  reshape,
  where,
} from "../ops/index.js";
import { keep, type Tensor, tensor, tidy } from "../tensor/index.js";

/**
 * Makes tokens that a sequence has already less probable.
 *
 *     logit / penalty where it is positive, logit · penalty where it is negative
 *
 * @see Keskar et al., "CTRL", arXiv:1909.05858
 */
export class RepetitionPenalty implements Disposable {
  /** 1 where a sequence has a token: `[sequences, vocabulary]`, uint8. */
  #seen: Tensor;
  /** `[1, vocabulary]` */
  readonly #classes: Tensor;

  constructor(
    readonly penalty: number,
    sequences: readonly Int32Array[],
    vocabulary: number,
  ) {
    const seen = new Uint8Array(sequences.length * vocabulary);
    for (const [row, ids] of sequences.entries())
      for (const id of ids) seen[row * vocabulary + id] = 1;
    this.#seen = keep(tensor(seen, { shape: [sequences.length, vocabulary] }));
    this.#classes = keep(tidy(() => reshape(arange(vocabulary), [1, vocabulary])));
  }

  /** `[sequences, vocabulary]` → the same shape. */
  apply(logits: Tensor): Tensor {
    const { penalty } = this;
    const penalised = where(less(logits, 0), multiply(logits, penalty), divide(logits, penalty));
    return where(this.#seen, penalised, logits);
  }

  /** Adds a token to each sequence: `ids [sequences]`, int32. */
  add(ids: Tensor): void {
    this.#replace(() =>
      logicalOr(this.#seen, equal(this.#classes, reshape(ids, [ids.shape[0]!, 1]))),
    );
  }

  /** Makes sequence i what sequence `indices[i]` was. */
  select(indices: readonly number[]): void {
    this.#replace(() => embedding(this.#seen, tensor(Int32Array.from(indices))));
  }

  dispose(): void {
    this.#seen.dispose();
    this.#classes.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #replace(make: () => Tensor): void {
    const before = this.#seen;
    this.#seen = keep(tidy(make));
    before.dispose();
  }
}
