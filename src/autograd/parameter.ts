import { UsageError } from "../errors.js";
import { cast, noGrad } from "../ops/index.js";
import { isFloat } from "../tensor/dtype.js";
import { keep } from "../tensor/memory.js";
import { formatShape, type Shape, sameShape, type Tensor } from "../tensor/tensor.js";

/**
 * A tensor that training changes. It owns its value, outside all `tidy` scopes.
 *
 * One of whole numbers is data that belongs to a model and lies in its checkpoints; training leaves it alone.
 */
export class Parameter implements Disposable {
  #value: Tensor;
  #shadow: Tensor | undefined;
  #trainable: boolean;

  constructor(value: Tensor, { trainable = true }: { trainable?: boolean } = {}) {
    this.#value = keep(value);
    this.#trainable = trainable && isFloat(value.dtype);
  }

  /** Whether optimizers and `Module.trainable()` see it. Whole numbers stay untrainable. */
  get trainable(): boolean {
    return this.#trainable;
  }

  set trainable(trainable: boolean) {
    this.#trainable = trainable && isFloat(this.#value.dtype);
  }

  get value(): Tensor {
    return this.#value;
  }

  /**
   * A bfloat16 copy of a float32 value, which products with `precision: "bfloat16"` read in its place:
   *
   *     linear(x, weight.value, bias.value, { precision: "bfloat16", shadow: weight.shadow })
   *
   * Made when it is first asked for and owned by the parameter. Optimizers write it in the same pass as the value, so
   * it always is `cast(value, "bfloat16")`; `assign` drops it. Checkpoints and gradients know the value alone.
   *
   * @throws UsageError when the value is not float32
   */
  get shadow(): Tensor {
    if (this.#value.dtype !== "float32")
      throw new UsageError(`shadow: the value is ${this.#value.dtype}, must be float32`);
    this.#shadow ??= keep(noGrad(() => cast(this.#value, "bfloat16")));
    return this.#shadow;
  }

  /** Whether there is a shadow now. */
  get hasShadow(): boolean {
    return this.#shadow !== undefined;
  }

  /** Frees the shadow; the next use makes it anew. */
  dropShadow(): void {
    this.#shadow?.dispose();
    this.#shadow = undefined;
  }

  get shape(): Shape {
    return this.#value.shape;
  }

  /**
   * Replaces the value and disposes the old one; the parameter owns the new one.
   *
   * @throws UsageError when shape or dtype differ
   */
  assign(value: Tensor): void {
    const old = this.#value;
    if (value === old) return;
    if (!sameShape(value.shape, old.shape) || value.dtype !== old.dtype)
      throw new UsageError(
        `assign: ${value.dtype} ${formatShape(value.shape)} cannot replace ${old.dtype} ${formatShape(old.shape)}`,
      );
    this.#value = keep(value);
    old.dispose();
    this.dropShadow();
  }

  /**
   * Replaces the value as {@link assign} does, by one that may have another floating-point dtype: for weights that are
   * kept in bfloat16.
   *
   * @throws UsageError when the shapes differ, or one has whole numbers
   */
  replace(value: Tensor): void {
    const old = this.#value;
    if (!sameShape(value.shape, old.shape) || isFloat(value.dtype) !== isFloat(old.dtype))
      throw new UsageError(
        `replace: ${value.dtype} ${formatShape(value.shape)} cannot replace ${old.dtype} ${formatShape(old.shape)}`,
      );
    if (value === old) return;
    this.#value = keep(value);
    old.dispose();
    this.dropShadow();
  }

  dispose(): void {
    this.dropShadow();
    this.#value.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
