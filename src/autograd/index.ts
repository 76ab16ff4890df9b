export { checkpoint } from "./checkpoint.js";
export { Parameter } from "./parameter.js";
export {
  type Differentiable,
  type Gradients,
  grad,
  type Loss,
  valueAndGrad,
  type WithGradients,
} from "./value-and-grad.js";
