import type { MetricRecord } from "../metric-record.js";

export type MetricSplit = MetricRecord["split"];

/** A record as a run folder keeps it. NaN and infinities are kept too. */
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
