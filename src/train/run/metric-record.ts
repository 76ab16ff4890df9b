export type MetricSplit = "train" | "validation" | "test";

/** Numbers measured at a step of training. */
export interface MetricRecord {
  /** Optimizer steps done, from 1; 0 before the first. */
  readonly step: number;
  /** Passes over the training windows done by then, with fractions. */
  readonly epoch: number;
  readonly split: MetricSplit;
  /** By name: `loss`, `loss/genre`, `ndcg@10`. NaN and infinities are allowed. */
  readonly values: Readonly<Record<string, number>>;
}

/** A record as a run folder keeps it. */
export interface LoggedRecord extends MetricRecord {
  /** Seconds that the run had been going, without the time between a stop and a resume. */
  readonly seconds: number;
}

/** The monitored metric where it was best. */
export interface BestMetric {
  readonly step: number;
  /** Its name among the values of the validation split. */
  readonly metric: string;
  readonly value: number;
}
