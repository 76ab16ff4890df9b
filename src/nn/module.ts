import { Parameter } from "../autograd/parameter.js";
import { CheckpointError } from "../errors.js";
import { cast, clone } from "../ops/index.js";
import { isFloat } from "../tensor/dtype.js";
import { formatShape, sameShape, type Tensor } from "../tensor/tensor.js";

/**
 * A part of a model: parameters and other modules in its fields.
 *
 * Fields that hold a `Parameter`, a `Module`, or an array or a map of them belong to the module, in field order; the path
 * of field names, positions and keys (`blocks.0.attention.query.weight`) is the parameter's name in checkpoints.
 */
export abstract class Module implements Disposable {
  /** Whether dropout and the like are active; `train()` and `eval()` set it for the whole module. */
  training = true;

  /** Parameters with their paths, in field order. One that sits in two places comes with its first path only. */
  *namedParameters(): Generator<[path: string, parameter: Parameter]> {
    const seen = new Set<Parameter>();
    for (const [path, parameter] of this.#walk(""))
      if (!seen.has(parameter)) {
        seen.add(parameter);
        yield [path, parameter];
      }
  }

  parameters(): Parameter[] {
    return [...this.namedParameters()].map(([, parameter]) => parameter);
  }

  /** The parameters that training changes. */
  trainable(): Parameter[] {
    return this.parameters().filter((parameter) => parameter.trainable);
  }

  /** Number of elements of all parameters, those of whole numbers aside. */
  get parameterCount(): number {
    return this.parameters().reduce(
      (sum, { value }) => sum + (isFloat(value.dtype) ? value.size : 0),
      0,
    );
  }

  /** Makes all parameters trainable (but those of whole numbers), or none. */
  setTrainable(trainable: boolean): this {
    for (const parameter of this.parameters()) parameter.trainable = trainable;
    return this;
  }

  /** Modules directly in the fields. */
  *children(): Generator<Module> {
    for (const [, value] of this.#members()) if (value instanceof Module) yield value;
  }

  train(training = true): this {
    this.training = training;
    for (const child of this.children()) child.train(training);
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** The parameters' values by path. They stay the module's own. */
  stateDict(): Map<string, Tensor> {
    return new Map([...this.namedParameters()].map(([path, { value }]) => [path, value]));
  }

  /**
   * Copies values into the parameters, cast to their dtype. Nothing changes unless everything fits.
   *
   * @param strict whether a missing or unexpected name is an error; default true
   * @returns the names that were missing in `state`, and those that the module does not have
   * @throws CheckpointError when a shape differs, or, if strict, when names do
   */
  loadStateDict(
    state: ReadonlyMap<string, Tensor>,
    { strict = true }: { strict?: boolean } = {},
  ): { missing: string[]; unexpected: string[] } {
    const own = new Map(this.namedParameters());
    const missing = [...own.keys()].filter((path) => !state.has(path));
    const unexpected = [...state.keys()].filter((path) => !own.has(path));
    if (strict && (missing.length > 0 || unexpected.length > 0))
      throw new CheckpointError(
        [
          missing.length > 0 && `missing: ${missing.join(", ")}`,
          unexpected.length > 0 && `unexpected: ${unexpected.join(", ")}`,
        ]
          .filter(Boolean)
          .join("; "),
      );
    for (const [path, { value }] of own) {
      const loaded = state.get(path);
      if (loaded && !sameShape(loaded.shape, value.shape))
        throw new CheckpointError(
          `${path}: the checkpoint has ${formatShape(loaded.shape)}, the module ${formatShape(value.shape)}`,
        );
    }
    for (const [path, parameter] of own) {
      const loaded = state.get(path);
      if (loaded) {
        const { dtype } = parameter.value;
        parameter.assign(loaded.dtype === dtype ? clone(loaded) : cast(loaded, dtype));
      }
    }
    return { missing, unexpected };
  }

  /** Disposes all parameters, and what else the parts own. */
  dispose(): void {
    for (const [, value] of this.#members()) value.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  *#walk(prefix: string): Generator<[string, Parameter]> {
    for (const [name, value] of this.#members())
      if (value instanceof Parameter) yield [prefix + name, value];
      else yield* value.#walk(`${prefix}${name}.`);
  }

  *#members(): Generator<[string, Parameter | Module]> {
    for (const [name, value] of Object.entries(this))
      if (value instanceof Parameter || value instanceof Module) yield [name, value];
      else if (Array.isArray(value) || value instanceof Map)
        for (const [key, item] of value.entries())
          if (item instanceof Parameter || item instanceof Module) yield [`${name}.${key}`, item];
  }
}
