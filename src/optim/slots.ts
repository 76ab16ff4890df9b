import type { Parameter } from "../autograd/parameter.js";
import type { Gradients } from "../autograd/value-and-grad.js";
import { CheckpointError, UsageError } from "../errors.js";
import { clone, globalNorm, type StepTensors, zeros } from "../ops/index.js";
import { recordingTape } from "../ops/tape.js";
import type { DType } from "../tensor/dtype.js";
import { keep, tidy } from "../tensor/memory.js";
import { formatShape, type Shape, sameShape, type Tensor, tensor } from "../tensor/tensor.js";

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

/**
 * What an optimizer has learned, for checkpoints: tensors by parameter name and kind, as `blocks.0.query.weight.first`.
 * They are the optimizer's own: the next step changes them. Parameters that never had a gradient are absent.
 */
export type OptimizerState = ReadonlyMap<string, Tensor>;

/** The state tensors of one parameter, by kind. */
export type StateLayout = (
  value: Tensor,
) => Readonly<Record<string, { readonly shape: Shape; readonly dtype: DType }>>;

/** Layout of the number of steps taken: counted on the device, where a failed gradient prevents the step. */
export const stepCount = { shape: [], dtype: "float32" } as const;

/** One parameter of an optimizer. */
interface Slot {
  readonly name: string;
  readonly parameter: Parameter;
  readonly decays: boolean;
  readonly learningRateScale: number;
  /** By kind; empty until the first gradient. */
  state: ReadonlyMap<string, Tensor>;
}

/** What the optimizers share: which parameters, their state, and the frame of a step. */
export class Slots implements Disposable {
  readonly #slots: Slot[] = [];

  constructor(
    readonly optimizer: string,
    readonly layout: StateLayout,
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
        state: new Map(),
      });
    }
  }

  /**
   * One step of the parameters that have a gradient.
   *
   * @param own     the optimizer's own columns of scalars
   * @param enqueue calls the op; `state` lists the tensors of one kind, of the parameters that have it
   */
  step(
    gradients: Gradients,
    options: StepOptions,
    defaults: { readonly learningRate: number; readonly weightDecay: number },
    own: readonly number[],
    enqueue: (tensors: StepTensors, state: (kind: string) => Tensor[]) => void,
  ): StepResult {
    const { learningRate = defaults.learningRate, clipNorm, gradientScale = 1 } = options;
    requireNumber(this.optimizer, "learningRate", learningRate, 0);
    requireNumber(this.optimizer, "clipNorm", clipNorm ?? 0, 0);
    requireNumber(this.optimizer, "gradientScale", gradientScale, 0);
    if (recordingTape())
      throw new UsageError(`${this.optimizer}: step inside valueAndGrad; step after it`);
    const slots = this.#slots.filter(({ parameter }) => gradients.has(parameter));
    for (const slot of slots) if (slot.state.size === 0) slot.state = this.#begin(slot.parameter);

    return tidy(() => {
      const given = slots.map(({ parameter }) => gradients.get(parameter)!);
      const gradientNorm =
        clipNorm !== undefined || options.gradientNorm ? globalNorm(given) : undefined;
      const table = new ScalarRows();
      const rows = slots.map(({ decays, learningRateScale }) =>
        table.add([
          gradientScale,
          clipNorm ?? 0,
          learningRate * learningRateScale,
          decays ? defaults.weightDecay : 0,
          ...own,
        ]),
      );
      const shadowOf = [...slots.keys()].filter((i) => slots[i]!.parameter.hasShadow);
      enqueue(
        {
          parameters: slots.map(({ parameter }) => parameter.value),
          gradients: given,
          shadows: shadowOf.map((i) => slots[i]!.parameter.shadow),
          shadowOf,
          scalars: tensor(table.values, { shape: [table.count, 4 + own.length] }),
          rows,
          norm: clipNorm === undefined ? undefined : gradientNorm,
        },
        (kind) => slots.flatMap(({ state }) => state.get(kind) ?? []),
      );
      return { gradientNorm };
    });
  }

  #begin({ value }: Parameter): ReadonlyMap<string, Tensor> {
    return new Map(
      Object.entries(this.layout(value)).map(([kind, { shape, dtype }]) => [
        kind,
        keep(zeros(shape, { dtype })),
      ]),
    );
  }

  state(): OptimizerState {
    return new Map(
      this.#slots.flatMap(({ name, state }) =>
        [...state].map(([kind, tensor]) => [`${name}.${kind}`, tensor] as const),
      ),
    );
  }

  /**
   * Copies a state. Nothing changes unless everything fits.
   *
   * @throws CheckpointError when names, shapes or dtypes are not those that the parameters need
   */
  loadState(saved: OptimizerState): void {
    const refuse = (reason: string): never => {
      throw new CheckpointError(`${this.optimizer}: ${reason}`);
    };
    const unexpected = new Set(saved.keys());
    const found = this.#slots.map(({ name, parameter }) => {
      const layout = Object.entries(this.layout(parameter.value));
      const present = layout.some(([kind]) => saved.has(`${name}.${kind}`));
      return new Map(
        (present ? layout : []).map(([kind, { shape, dtype }]) => {
          const key = `${name}.${kind}`;
          const tensor = saved.get(key) ?? refuse(`the state has no tensor "${key}"`);
          if (!sameShape(tensor.shape, shape) || tensor.dtype !== dtype)
            refuse(
              `"${key}" is ${tensor.dtype} ${formatShape(tensor.shape)}, must be ${dtype} ${formatShape(shape)}`,
            );
          unexpected.delete(key);
          return [kind, tensor] as const;
        }),
      );
    });
    for (const key of unexpected) refuse(`the state has an unexpected tensor "${key}"`);

    for (const [i, slot] of this.#slots.entries()) {
      const copies = [...found[i]!].map(([kind, tensor]) => [kind, copied(tensor)] as const);
      disposeAll(slot.state);
      slot.state = new Map(copies);
    }
  }

  dispose(): void {
    for (const slot of this.#slots) {
      disposeAll(slot.state);
      slot.state = new Map();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The distinct rows of numbers that a step works with, and which one each parameter uses. */
class ScalarRows {
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

function disposeAll(tensors: ReadonlyMap<string, Tensor>): void {
  for (const tensor of tensors.values()) tensor.dispose();
}
