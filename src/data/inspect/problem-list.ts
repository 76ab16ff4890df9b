/** Something wrong with prepared data. */
export interface Problem {
  /** Name in the folder. */
  readonly file: string;
  /** The column and the first row with it, from 0; null where it is of the whole file. */
  readonly where: string | null;
  /** What was expected and what is there. */
  readonly what: string;
  /** Rows that have this problem; 1 where it is of the whole file. */
  readonly rows: number;
}

/** Problems as they are found; the rows of a column that break the same rule are one problem. */
export class Problems {
  readonly #found = new Map<
    string,
    { file: string; where: string | null; what: string; rows: number }
  >();

  get list(): readonly Problem[] {
    return [...this.#found.values()];
  }

  ofFile(file: string, what: string): void {
    this.#add(`${file} ${what}`, file, null, what);
  }

  /** @param rule what is equal for all rows that break it; `got` is of the first */
  ofRow(file: string, column: string, row: number, rule: string, got: string | number): void {
    this.#add(
      `${file} ${column} ${rule}`,
      file,
      `column "${column}", row ${row}`,
      `${rule}, got ${got}`,
    );
  }

  /** A number that the manifest or another column gives, and what it should be. */
  ofCount(file: string, what: string, given: number | null, counted: number | null): void {
    if (given !== counted)
      this.ofFile(file, `${what} is given as ${given}, and counted ${counted}`);
  }

  #add(key: string, file: string, where: string | null, what: string): void {
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { file, where, what, rows: 1 });
    else known.rows++;
  }
}
