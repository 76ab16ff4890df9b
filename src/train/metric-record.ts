/** Numbers measured at a step of training. */
export interface MetricRecord {
  /** Optimizer steps done, from 1. */
  readonly step: number;
  /** Passes over the training windows done by then, with fractions. */
  readonly epoch: number;
  readonly split: "train" | "validation" | "test";
  /** By name: `loss`, `loss/genre`, `ndcg@10`. */
  readonly values: Readonly<Record<string, number>>;
}
