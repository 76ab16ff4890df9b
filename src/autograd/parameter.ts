import { UsageError } from "../errors.js";
import { keep } from "../tensor/memory.js";
import { formatShape, type Shape, sameShape, type Tensor } from "../tensor/tensor.js";

/** A tensor that training changes. It owns its value, outside all `tidy` scopes. */
export class Parameter implements Disposable {
  #value: Tensor;
  /** Whether optimizers and `Module.trainable()` see it. */
  trainable: boolean;

  constructor(value: Tensor, { trainable = true }: { trainable?: boolean } = {}) {
    this.#value = keep(value);
    this.trainable = trainable;
  }

  get value(): Tensor {
    return this.#value;
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
  }

  dispose(): void {
    this.#value.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
