export { commandLine } from "./command-line.js";
export type { Environment, RunFacts } from "./environment.js";
export type { BestMetric, LoggedRecord, MetricSplit } from "./metric-record.js";
export { type CreateRunOptions, type OpenRunOptions, RunFolder } from "./run-folder.js";
export { redactText } from "./secrets.js";
export type { TrainerState } from "./trainer-state.js";
