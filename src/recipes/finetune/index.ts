export { type ExampleFacts, finetune } from "./finetune.js";
export { exportMerged, type MergeOptions } from "./merge.js";
export { type FinetuningPlan, planFinetuning } from "./plan.js";
