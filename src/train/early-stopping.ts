/** The best value of the monitored metric so far, and for how long there was no better one. Plain data. */
export interface EarlyStopping {
  readonly best?: { readonly step: number; readonly value: number } | undefined;
  /** Validations since the best. */
  readonly waited: number;
}

export const notValidatedYet: EarlyStopping = { waited: 0 };

/** After a validation. A value that only equals the best is no better. */
export function judged(before: EarlyStopping, step: number, value: number): EarlyStopping {
  return before.best === undefined || value > before.best.value
    ? { best: { step, value }, waited: 0 }
    : { ...before, waited: before.waited + 1 };
}

/** Whether to stop. @param patience validations without a better one; undefined: never stop */
export const exhausted = ({ waited }: EarlyStopping, patience: number | undefined): boolean =>
  patience !== undefined && waited >= patience;
