import { UsageError } from "../errors.js";
import { native, nativeError } from "../native.js";
import { receive, requireLive, type Shape, type Tensor } from "../tensor/tensor.js";
import { recordingTape, type TapeNode, type TapeTrace, traceOn } from "./tape.js";

type Bare<S extends string> = S extends `${infer N}?` ? N : S extends `${infer N}*` ? N : S;
type Value<I extends string, T> = I extends `${string}*`
  ? readonly T[]
  : I extends `${string}?`
    ? T | undefined
    : T;

/** Inputs by name: `x` is required, `bias?` may be absent, `parts*` is a list. */
export type Inputs<I extends string> = {
  [K in I as K extends `${string}?` ? never : Bare<K>]: Value<K, Tensor>;
} & { [K in I as K extends `${infer N}?` ? N : never]?: Tensor | undefined };
type Attributes<A extends string> = {
  [K in A as Bare<K>]: K extends `${string}*` ? readonly number[] : number;
};
type Outputs<O extends readonly string[]> = {
  -readonly [K in keyof O]: O[K] extends `${string}?` ? Tensor | undefined : Tensor;
};
type Wanted<O extends readonly string[]> = {
  [K in O[number] as K extends `${infer N}?` ? N : never]?: boolean;
};

/** What a gradient rule sees of the call it belongs to. */
export interface GradientCall<
  I extends string,
  A extends string,
  O extends readonly string[],
  S extends string,
> {
  /** The tensors named in `saves`. */
  saved: { [K in I as Bare<K> extends S ? Bare<K> : never]: Value<K, Tensor> } & {
    [K in O[number] as Bare<K> extends S ? Bare<K> : never]: Value<K, Tensor>;
  };
  /** Shapes of the inputs; `[]` for one that was absent. */
  shapes: { [K in I as Bare<K>]: K extends `${string}*` ? readonly Shape[] : Shape };
  attributes: Attributes<A>;
  /** Gradient of the first output. */
  grad: Tensor;
  /** Gradient of each output; `undefined` for one that the loss does not depend on. */
  grads: { [K in O[number] as Bare<K>]: Tensor | undefined };
  /** Which inputs want a gradient. */
  needs: { [K in I as Bare<K>]: K extends `${string}*` ? readonly boolean[] : boolean };
}

/** The gradient of an op, or the reason why it has none (its outputs are then constants). */
export type Gradient<
  I extends string,
  A extends string,
  O extends readonly string[],
  S extends string,
> =
  | {
      /**
       * Inputs and outputs that the rule reads; everything else is freed after the forward pass. As a function of
       * what wants a gradient where that decides: a product needs one factor only for the gradient of the other.
       */
      saves: readonly S[] | ((needs: GradientCall<I, A, O, S>["needs"]) => readonly S[]);
      /**
       * Gradients by input name. Called only when at least one output has a gradient and one input wants one. A
       * tensor of `saved` or `grads` may be returned as it is.
       */
      rule(call: GradientCall<I, A, O, S>): {
        [K in I as Bare<K>]?: K extends `${string}*`
          ? readonly (Tensor | undefined)[] | undefined
          : Tensor | undefined;
      };
    }
  | { none: string };

export interface OpSpec<
  I extends string,
  A extends string,
  O extends readonly string[],
  S extends string,
> {
  /** The op's name in `native/ops`. */
  name: string;
  inputs: readonly I[];
  /** Numbers in wire order; `axes*` is a list. */
  attributes: readonly A[];
  /** `result` is always made, `bias_grad?` when the caller wants it. */
  outputs: O;
  gradient: Gradient<I, A, O, S>;
}

/** What tests ask of the ops that TypeScript declares. */
export interface DeclaredOp {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly attributes: readonly string[];
  readonly outputs: readonly string[];
  /** Why the op has no gradient. */
  readonly noGradient: string | undefined;
}

/** Every op declared so far, by name. */
export const declaredOps = new Map<string, DeclaredOp>();

const bare = (name: string): string => (/[?*]$/.test(name) ? name.slice(0, -1) : name);

/**
 * Pairs a native op with its TypeScript signature and gradient. The first call checks the signature against the
 * binary's.
 *
 * The op's function checks that inputs are live tensors; shapes, dtypes and attributes are checked natively, before
 * anything is enqueued.
 */
export function defineOp<
  const I extends string,
  const A extends string,
  const O extends readonly string[],
  const S extends string = never,
>(
  spec: OpSpec<I, A, O, S>,
): (inputs: Inputs<I>, attributes: Attributes<A>, wanted?: Wanted<O>) => Outputs<O> {
  const { name: op, gradient } = spec;
  const inputs = spec.inputs.map((name) => ({
    name: bare(name),
    optional: name.endsWith("?"),
    list: name.endsWith("*"),
  }));
  const attributes = spec.attributes.map((name) => ({
    name: bare(name),
    list: name.endsWith("*"),
  }));
  const outputs = spec.outputs.map(bare);
  const rule = "rule" in gradient ? gradient.rule : undefined;
  const saves = "rule" in gradient ? gradient.saves : undefined;
  declaredOps.set(op, {
    name: op,
    inputs: spec.inputs,
    attributes: spec.attributes,
    outputs: spec.outputs,
    noGradient: "none" in gradient ? gradient.none : undefined,
  });
  let id = -1;

  return (given, values, wanted) => {
    if (id < 0) {
      id = native.bind(op, spec.inputs, spec.attributes, spec.outputs);
      if (id < 0) throw nativeError(id);
    }
    const { wire } = native;
    const tensors = given as Readonly<Record<string, Tensor | readonly Tensor[] | undefined>>;
    const numbers = values as Readonly<Record<string, number | readonly number[]>>;
    let at = 0;
    for (const { name, optional, list } of inputs) {
      const value = tensors[name];
      if (list) {
        if (!Array.isArray(value))
          throw new UsageError(`${op}: ${name} must be an array of tensors`);
        requireRoom(op, wire, at + value.length);
        wire[at++] = value.length;
        for (let i = 0; i < value.length; i++) {
          requireLive(op, `${name}[${i}]`, value[i]);
          wire[at++] = (value[i] as Tensor).handle;
        }
      } else if (optional && value === undefined) wire[at++] = 0;
      else {
        requireLive(op, name, value);
        wire[at++] = value.handle;
      }
    }
    for (const { name, list } of attributes) {
      const value = numbers[name];
      if (list) {
        if (!Array.isArray(value))
          throw new UsageError(`${op}: ${name} must be an array of numbers`);
        requireRoom(op, wire, at + value.length);
        wire[at++] = value.length;
        for (const number of value as readonly number[]) wire[at++] = number;
      } else {
        if (typeof value !== "number")
          throw new UsageError(`${op}: ${name} must be a number, got ${typeof value}`);
        wire[at++] = value;
      }
    }
    let mask = 0;
    if (wanted)
      for (let i = 0; i < outputs.length; i++)
        if ((wanted as Record<string, boolean | undefined>)[outputs[i]!]) mask |= 1 << i;
    wire[at++] = mask;

    const results = receive(native.run(id, at));
    const tape = recordingTape();
    if (tape && rule && saves) {
      const parents: (TapeTrace | undefined)[] = [];
      let traced = false;
      for (const { name } of inputs) {
        const value = tensors[name];
        for (const tensor of Array.isArray(value)
          ? (value as readonly Tensor[])
          : [value as Tensor | undefined]) {
          const trace = tensor && traceOn(tape, tensor);
          parents.push(trace);
          traced ||= trace !== undefined;
        }
      }
      if (traced) {
        const node = record(parents);
        tape.nodes.push(node);
        results.forEach((result, output) => {
          if (result) result.trace = { tape, node, output } as TapeTrace;
        });
      }
    }
    return results as Outputs<O>;

    function record(parents: readonly (TapeTrace | undefined)[]): TapeNode {
      const saved: Record<string, Tensor | readonly Tensor[] | undefined> = {};
      const shapes: Record<string, Shape | readonly Shape[]> = {};
      const needs: Record<string, boolean | readonly boolean[]> = {};
      const lengths: number[] = [];
      let first = 0;
      for (const { name, list } of inputs) {
        const value = tensors[name];
        const items = list ? (value as readonly Tensor[]) : [value as Tensor | undefined];
        const wants = items.map((_, i) => parents[first + i] !== undefined);
        first += items.length;
        lengths.push(items.length);
        shapes[name] = list
          ? items.map((item) => item?.shape ?? [])
          : ((value as Tensor | undefined)?.shape ?? []);
        needs[name] = list ? wants : wants[0]!;
      }
      for (const name of typeof saves === "function" ? saves(needs as never) : saves!) {
        const output = outputs.indexOf(name);
        saved[name] = output < 0 ? tensors[name] : results[output];
      }
      return {
        op,
        parents,
        outputs: results.map((result) => result?.shape ?? []),
        saved: Object.values(saved).flatMap((value) =>
          value === undefined ? [] : Array.isArray(value) ? value : [value as Tensor],
        ),
        backward(grads) {
          const byName: Record<string, Tensor | undefined> = {};
          outputs.forEach((name, i) => {
            byName[name] = grads[i];
          });
          const call = { saved, shapes, attributes: values, grad: grads[0], grads: byName, needs };
          const result = rule!(call as never) as Record<
            string,
            Tensor | readonly (Tensor | undefined)[] | undefined
          >;
          return inputs.flatMap(({ name, list }, i) => {
            const value = result[name];
            if (!list) return [value as Tensor | undefined];
            return (
              (value as readonly (Tensor | undefined)[] | undefined) ??
              new Array(lengths[i]).fill(undefined)
            );
          });
        },
      };
    }
  };
}

function requireRoom(op: string, wire: Float64Array, length: number): void {
  if (length > wire.length - 64)
    throw new UsageError(`${op}: too many tensors or numbers in one call (${length})`);
}
