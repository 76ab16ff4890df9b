export {
  type CheckpointOptions,
  type FitOptions,
  type FitResult,
  fit,
  type ResumePoint,
  type TrainableModel,
  type TrainingBatch,
  type TrainingBatches,
} from "./fit.js";
export * from "./language/index.js";
export type { MetricRecord } from "./metric-record.js";
export { type PlannedPart, type PlanOptions, planTraining, type TrainingPlan } from "./plan.js";
export * from "./run/index.js";
export type { ValidationOptions } from "./validate.js";
