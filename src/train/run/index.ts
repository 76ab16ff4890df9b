export { commandLine } from "./command-line.js";
export type { Environment, RunFacts } from "./environment.js";
export { listRuns } from "./list-runs.js";
export type { BestMetric, LoggedRecord, MetricSplit } from "./metric-record.js";
export {
  type CheckpointSummary,
  type Curve,
  type RunDetails,
  readRun,
  validationCurve,
} from "./run-details.js";
export type { RunEnvironment } from "./run-files.js";
export { type CreateRunOptions, type OpenRunOptions, RunFolder } from "./run-folder.js";
export type { RunSummary } from "./run-summary.js";
export { redactText } from "./secrets.js";
export type { TrainerState } from "./trainer-state.js";
