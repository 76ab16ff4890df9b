import { UsageError } from "../errors.js";
import { type NativeMemory, native } from "../native.js";
import { Tensor } from "./tensor.js";

/** What tensors hold on the device, in bytes. */
export interface MemoryStats {
  /** Live handles. */
  readonly tensors: number;
  /** Held by tensors and repacked weights. */
  readonly bytes: number;
  /** Kept for reuse. */
  readonly cachedBytes: number;
  /** Highest `bytes` since the start or `resetPeakMemory()`. */
  readonly peakBytes: number;
  /** `bytes + cachedBytes` never exceed it; `USER_LLM_MEMORY_LIMIT` sets it. */
  readonly limitBytes: number;
}

export const memory = (): MemoryStats => native.memory(0) satisfies NativeMemory;

/** Makes `memory().peakBytes` start again from what is in use now. */
export const resetPeakMemory = (): void => void native.memory(1);

/** Gives cached blocks back to the system, once the ops that may still use them have run. */
export const emptyCache = (): void => void native.memory(2);

/** A body whose result is not a promise: scopes are synchronous. */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T;

/**
 * Runs `body` and disposes every tensor it made, except those it returns (also inside arrays, maps and plain
 * objects). Nested scopes hand what they return to the enclosing one.
 *
 * @throws UsageError when `body` returns a promise; await outside
 */
export function tidy<T>(body: () => Synchronous<T>): T {
  const scope = openScope();
  let result: T | undefined;
  try {
    result = body() as T;
    if (typeof (result as { then?: unknown } | null | undefined)?.then === "function")
      throw new UsageError("tidy: the body returned a promise; tidy scopes are synchronous");
    return result;
  } finally {
    closeScope(scope, new Set(tensorsIn(result)));
  }
}

/** Takes tensors out of all scopes: they live until `dispose()` or until they are garbage. */
export function keep<T>(value: T): T {
  for (const tensor of tensorsIn(value)) if (disown(tensor)) safetyNet(tensor);
  return value;
}

/** Takes `tensor` from the scope that owns it; false when none does. */
function disown(tensor: Tensor): boolean {
  for (let i = scopes.length - 1; i >= 0; i--) {
    const at = scopes[i]!.lastIndexOf(tensor); // what is kept was mostly made just before
    if (at >= 0) return scopes[i]!.splice(at, 1).length > 0;
  }
  return false;
}

/** Tensors in `value`: itself, or inside arrays, sets, maps and plain objects. */
export function* tensorsIn(value: unknown): Iterable<Tensor> {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof Tensor) yield value;
  else if (Array.isArray(value) || value instanceof Set)
    for (const item of value) yield* tensorsIn(item);
  else if (value instanceof Map) for (const item of value.values()) yield* tensorsIn(item);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) yield* tensorsIn(item);
}

/** The tensors made while it is open, oldest first. */
export type Scope = Tensor[];

const scopes: Scope[] = [];
const finalizers = new FinalizationRegistry<number>((handle) => void native.release(handle));

/** The safety net under tensors that no scope owns. */
function safetyNet(tensor: Tensor): void {
  finalizers.register(tensor, tensor.handle, tensor);
}

/** Called once for every new tensor: the innermost scope owns it. */
export function adopt(tensor: Tensor): void {
  const scope = scopes[scopes.length - 1];
  if (scope) scope.push(tensor);
  else safetyNet(tensor);
}

/** Called by `dispose()`. */
export function forget(tensor: Tensor): void {
  finalizers.unregister(tensor);
}

export function openScope(): Scope {
  const scope: Scope = [];
  scopes.push(scope);
  return scope;
}

/** Ends `scope`: tensors of `survivors` go to the enclosing scope, the others are disposed. */
export function closeScope(scope: Scope, survivors: ReadonlySet<Tensor>): void {
  const index = scopes.lastIndexOf(scope);
  if (index < 0) throw new UsageError("the scope is closed already");
  scopes.length = index;
  for (const tensor of scope)
    if (survivors.has(tensor)) adopt(tensor);
    else tensor.dispose();
}
