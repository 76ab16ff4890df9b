export { checkpoint } from "./checkpoint.js";
export {
  type GradcheckElement,
  type GradcheckOptions,
  type GradcheckResult,
  gradcheck,
} from "./gradcheck.js";
export { Parameter } from "./parameter.js";
export {
  type Differentiable,
  type Gradients,
  grad,
  type Loss,
  valueAndGrad,
  type WithGradients,
} from "./value-and-grad.js";
