import type { Gradients } from "../autograd/value-and-grad.js";
import type { OptimizerState, Slots, StepOptions, StepResult } from "./slots.js";

/** What every optimizer is: a step, and a state that checkpoints keep. */
export abstract class Optimizer implements Disposable {
  protected constructor(protected readonly slots: Slots) {}

  /**
   * Changes the parameters in place. When one of the gradients has failed, nothing changes.
   *
   * @throws ShapeError, DTypeError when a gradient is not like its parameter
   */
  abstract step(gradients: Gradients, options?: StepOptions): StepResult;

  /** What a checkpoint needs besides the parameters. Save it, or copy it, before the next step. */
  state(): OptimizerState {
    return this.slots.state();
  }

  /**
   * Goes on from a saved state, of which it makes copies.
   *
   * @throws CheckpointError when it does not fit the parameters; nothing has changed then
   */
  loadState(state: OptimizerState): void {
    this.slots.loadState(state);
  }

  /** Frees the state; a later step starts afresh. The parameters live on. */
  dispose(): void {
    this.slots.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
