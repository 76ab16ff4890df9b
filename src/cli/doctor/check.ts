/** A finding of `doctor`. */
export interface Check {
  readonly name: string;
  /** `warn`: works without, less well. `fail`: something needed does not work. */
  readonly status: "ok" | "warn" | "fail";
  /** What was found, in a line. */
  readonly found: string;
  /** What to do, in a line; where there is something to do. */
  readonly remedy?: string | undefined;
  /** Figures, for `--json`. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}
