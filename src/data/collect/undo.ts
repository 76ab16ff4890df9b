/** Takes back what a bad row has entered into dictionaries, so that it leaves no user, item or value behind. */
export class Undo {
  readonly #sizes: number[];

  constructor(readonly dictionaries: readonly Growing[]) {
    this.#sizes = dictionaries.map(() => 0);
  }

  /** Size of the largest dictionary. */
  get largest(): number {
    return Math.max(...this.dictionaries.map(({ size }) => size));
  }

  /** Call it before a row is read. */
  mark(): void {
    for (let i = 0; i < this.#sizes.length; i++) this.#sizes[i] = this.dictionaries[i]!.size;
  }

  /** Back to the last mark. */
  back(): void {
    for (const [i, dictionary] of this.dictionaries.entries()) dictionary.truncate(this.#sizes[i]!);
  }
}

interface Growing {
  readonly size: number;
  truncate(size: number): void;
}
