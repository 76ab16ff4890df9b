import type { Parameter } from "../autograd/parameter.js";
import type { Gradients } from "../autograd/value-and-grad.js";
import { CheckpointError, UsageError } from "../errors.js";
import { clone, zerosLike } from "../ops/index.js";
import { recordingTape } from "../ops/tape.js";
import { keep, tidy } from "../tensor/memory.js";
import { formatShape, sameShape, type Tensor } from "../tensor/tensor.js";

/** Parameters, with or without names: `model.trainable()` or `model.namedParameters()`. */
export type OptimizerParameters = Iterable<
  Parameter | readonly [name: string, parameter: Parameter]
>;

/** How an optimizer treats single parameters; asked once, when it is made. */
export interface PerParameterOptions {
  /** Which parameters weight decay applies to. Default: all. */
  decay?: ((parameter: Parameter, name: string) => boolean) | undefined;
  /** Multiplies the learning rate. Default: 1. */
  learningRateScale?: ((parameter: Parameter, name: string) => number) | undefined;
}

/** Options of one step. */
export interface StepOptions {
  /** Default: the optimizer's own. */
  learningRate?: number | undefined;
  /** Limits the norm of all gradients together. Default: no limit. */
  clipNorm?: number | undefined;
  /** Multiplies the gradients. Default: 1. */
  gradientScale?: number | undefined;
  /** Whether to return the norm although nothing is clipped. Default: false. */
  gradientNorm?: boolean | undefined;
}

export interface StepResult {
  /** Norm of the gradients as given: a scalar on the device, made when clipping or when asked for. */
  readonly gradientNorm: Tensor | undefined;
}

/** What an optimizer has learned, for checkpoints. */
export interface OptimizerState {
  /** By parameter name and kind, as `blocks.0.query.weight.first`. The optimizer's own: the next step changes them. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Steps taken, by parameter name. Parameters that never had a gradient are absent. */
  readonly steps: Readonly<Record<string, number>>;
}

/** One parameter of an optimizer. */
export interface Slot {
  readonly name: string;
  readonly parameter: Parameter;
  readonly decays: boolean;
  readonly learningRateScale: number;
  steps: number;
  /** One for each kind of state; empty until the first gradient. */
  tensors: readonly Tensor[];
}

/** The bookkeeping that all optimizers share. */
export class Slots implements Disposable {
  readonly #slots: Slot[] = [];

  /** @param kinds names the state tensors of each parameter */
  constructor(
    readonly optimizer: string,
    readonly kinds: readonly string[],
    parameters: OptimizerParameters,
    { decay = () => true, learningRateScale = () => 1 }: PerParameterOptions,
  ) {
    const names = new Set<string>();
    const seen = new Set<Parameter>();
    for (const entry of parameters) {
      const [name, parameter] = Array.isArray(entry)
        ? (entry as readonly [string, Parameter])
        : [String(this.#slots.length), entry as Parameter];
      if (names.has(name) || seen.has(parameter))
        throw new UsageError(`${optimizer}: parameter "${name}" is given twice`);
      names.add(name);
      seen.add(parameter);
      const scale = learningRateScale(parameter, name);
      requireNumber(optimizer, `learningRateScale of ${name}`, scale, 0);
      this.#slots.push({
        name,
        parameter,
        decays: decay(parameter, name),
        learningRateScale: scale,
        steps: 0,
        tensors: [],
      });
    }
  }

  /** The slots that have a gradient, with their state made, and what a step changes along: the shadows there are. */
  withGradient(gradients: Gradients): {
    slots: Slot[];
    gradients: Tensor[];
    shadows: Tensor[];
    shadowOf: number[];
  } {
    if (recordingTape())
      throw new UsageError(`${this.optimizer}: step inside valueAndGrad; step after it`);
    const slots = this.#slots.filter(({ parameter }) => gradients.has(parameter));
    for (const slot of slots)
      if (slot.tensors.length === 0)
        slot.tensors = this.kinds.map(() => keep(zerosLike(slot.parameter.value)));
    const shadowOf = [...slots.keys()].filter((i) => slots[i]!.parameter.hasShadow);
    return {
      slots,
      gradients: slots.map(({ parameter }) => gradients.get(parameter)!),
      shadows: shadowOf.map((i) => slots[i]!.parameter.shadow),
      shadowOf,
    };
  }

  state(): OptimizerState {
    const used = this.#slots.filter(({ steps }) => steps > 0);
    return {
      tensors: new Map(
        used.flatMap(({ name, tensors }) =>
          this.kinds.map((kind, i) => [`${name}.${kind}`, tensors[i]!] as const),
        ),
      ),
      steps: Object.fromEntries(used.map(({ name, steps }) => [name, steps])),
    };
  }

  /**
   * Copies a state. Nothing changes unless everything fits.
   *
   * @throws CheckpointError when names, shapes or dtypes are not those of the parameters
   */
  loadState({ tensors, steps }: OptimizerState): void {
    const refuse = (reason: string): never => {
      throw new CheckpointError(`${this.optimizer}: ${reason}`);
    };
    const byName = new Map(this.#slots.map((slot) => [slot.name, slot]));
    const expected = new Set<string>();
    for (const [name, count] of Object.entries(steps)) {
      const slot =
        byName.get(name) ?? refuse(`the state has "${name}", which is not a parameter here`);
      if (!Number.isSafeInteger(count) || count < 1)
        refuse(`steps of "${name}" must be a whole number from 1 on, got ${count}`);
      const { value } = slot.parameter;
      for (const kind of this.kinds) {
        const key = `${name}.${kind}`;
        const saved = tensors.get(key) ?? refuse(`the state has no tensor "${key}"`);
        if (!sameShape(saved.shape, value.shape) || saved.dtype !== value.dtype)
          refuse(
            `"${key}" is ${saved.dtype} ${formatShape(saved.shape)}, ` +
              `its parameter ${value.dtype} ${formatShape(value.shape)}`,
          );
        expected.add(key);
      }
    }
    for (const key of tensors.keys())
      if (!expected.has(key)) refuse(`the state has an unexpected tensor "${key}"`);

    for (const slot of this.#slots) {
      for (const tensor of slot.tensors) tensor.dispose();
      slot.steps = Object.hasOwn(steps, slot.name) ? steps[slot.name]! : 0;
      slot.tensors =
        slot.steps === 0
          ? []
          : this.kinds.map((kind) => copied(tensors.get(`${slot.name}.${kind}`)!));
    }
  }

  dispose(): void {
    for (const slot of this.#slots) {
      for (const tensor of slot.tensors) tensor.dispose();
      slot.tensors = [];
      slot.steps = 0;
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The distinct rows of numbers that a step works with, and which one each parameter uses. */
export class ScalarRows {
  readonly #rows = new Map<string, number>();
  readonly #values: number[] = [];

  /** The index of `row`. */
  add(row: readonly number[]): number {
    const key = row.join();
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    this.#values.push(...row);
    this.#rows.set(key, this.#rows.size);
    return this.#rows.size - 1;
  }

  get count(): number {
    return this.#rows.size;
  }

  get values(): Float64Array {
    return Float64Array.from(this.#values);
  }
}

/** @throws UsageError unless `value` is in [low, high) */
export function requireNumber(
  subject: string,
  name: string,
  value: number,
  low: number,
  high = Infinity,
): void {
  if (typeof value === "number" && value >= low && value < high) return;
  const range = high === Infinity ? `a finite number from ${low} on` : `in [${low}, ${high})`;
  throw new UsageError(`${subject}: ${name} must be ${range}, got ${value}`);
}

const copied = (tensor: Tensor): Tensor => keep(tidy(() => clone(tensor)));
