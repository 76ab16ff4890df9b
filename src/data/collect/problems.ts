import { basename } from "node:path";
import { RowError } from "../../errors.js";
import type { Dropped } from "./collected.js";

/** What becomes of rows that cannot be read: `fail` stops at the first, `skip` leaves them out and counts them. */
export type ErrorPolicy = "fail" | "skip";

/** The rows that could not be read, by rule. */
export class Problems {
  readonly #byRule = new Map<string, { rows: number; first: string }>();

  constructor(readonly policy: ErrorPolicy) {}

  /** @throws the error itself, unless bad rows are skipped */
  readonly add = (error: RowError): void => {
    if (this.policy === "fail") throw error;
    const { file, line, column, rule, got } = error;
    const key = column === undefined ? rule : `column "${column}": ${rule}`;
    const known = this.#byRule.get(key);
    if (known !== undefined) known.rows++;
    else {
      // Without its folder: this goes into the manifest, which does not say where files lay.
      const first = new RowError(basename(file), line, column, rule, got).message;
      this.#byRule.set(key, { rows: 1, first });
    }
  };

  /** In the order the rules came up. */
  get dropped(): Dropped[] {
    return Array.from(this.#byRule, ([rule, { rows, first }]) => ({ rule, rows, first }));
  }
}
