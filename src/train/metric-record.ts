/** A line of the log. */
export interface MetricRecord {
  /** Optimizer steps done. */
  readonly step: number;
  /** Of the batches, from 0. */
  readonly epoch: number;
  readonly split: "train" | "validation" | "test";
  readonly values: Readonly<Record<string, number>>;
}
