import { defaultGenerator, type Generator, type GeneratorState } from "../ops/index.js";

/** The generators that a run's numbers come from: the default one, then those given. */
export function generatorsOf(given: readonly Generator[] = []): readonly Generator[] {
  return [...new Set([defaultGenerator, ...given])];
}

export const statesOf = (generators: readonly Generator[]): GeneratorState[] =>
  generators.map((generator) => generator.state());

export function restore(generators: readonly Generator[], states: readonly GeneratorState[]): void {
  for (const [i, generator] of generators.entries()) generator.restore(states[i]!);
}
