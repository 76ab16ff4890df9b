import type { JinjaEnvironment, JinjaInterpreter, JinjaNode, JinjaValue } from "./jinja.js";

/** Of a text, or of a list with all that is in it, in characters. A million tokens are about as long. */
const mostAtOnce = 4 << 20;

/** Of everything that a template makes on its way. */
const mostTogether = 256 << 20;

/** As in Jinja's sandbox. */
const longestRange = 100_000;

/** A value takes more than its characters. */
const overhead = 8;

/**
 * Ends a template that makes too much: texts that double, lists of lists. Every value is weighed when an expression has made
 * it, so what a single filter makes of values within the bounds is there before it is seen; with the time limit that is
 * some hundred megabytes at worst.
 */
export function bound(interpreter: JinjaInterpreter): void {
  const evaluate = interpreter.evaluate.bind(interpreter);
  const weights = new WeakMap<JinjaValue, number>();
  let together = 0;
  interpreter.evaluate = (node: JinjaNode | undefined, environment: JinjaEnvironment) => {
    const value = evaluate(node, environment);
    if (node === undefined || !makers.has(node.type)) return value;
    const weight = weigh(value, weights);
    together += weight;
    if (weight > mostAtOnce || together > mostTogether) {
      throw new Error(
        `it makes more than ${mostAtOnce} characters at once, or ${mostTogether} in all`,
      );
    }
    return value;
  };
}

/** What makes new values; everything else hands on those that are there. */
const makers: ReadonlySet<string> = new Set([
  "ArrayLiteral",
  "BinaryExpression",
  "CallExpression",
  "CallStatement",
  "FilterExpression",
  "FilterStatement",
  "For",
  "MemberExpression",
  "ObjectLiteral",
  "TupleLiteral",
]);

/** Lists and objects do not change, so each is weighed once. A namespace does, and may hold itself. */
function weigh(value: JinjaValue, weights: WeakMap<JinjaValue, number>): number {
  if (value.type === "StringValue") return overhead + (value.value as string).length;
  const parts = partsOf(value);
  if (parts === undefined) return overhead;
  const known = weights.get(value);
  if (known !== undefined) return known;
  let weight = overhead;
  for (const part of parts) {
    weight += weigh(part, weights);
    if (weight > mostAtOnce) break;
  }
  weights.set(value, weight);
  return weight;
}

function partsOf({ type, value }: JinjaValue): Iterable<JinjaValue> | undefined {
  if (type === "ArrayValue" || type === "TupleValue") return value as JinjaValue[];
  if (type === "ObjectValue") return (value as Map<string, JinjaValue>).values();
  return undefined;
}

/** Python's `range`, which a template cannot ask for a billion numbers of. */
export function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new Error("range() with steps of 0");
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!(length <= longestRange)) throw new Error(`range() of more than ${longestRange} numbers`);
  return Array.from({ length }, (_, i) => from + i * step);
}
