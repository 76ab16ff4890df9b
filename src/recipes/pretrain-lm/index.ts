export { type LmPlan, planLm } from "./plan.js";
export { pretrainLm, type TextFacts } from "./pretrain-lm.js";
