/** Text of CSV rows on its way to a file, as bytes; the same block is filled again and again. */
export class CsvBlock {
  readonly #bytes: Buffer;
  #length = 0;

  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafe(bytes);
  }

  get length(): number {
    return this.#length;
  }

  /** A whole number from 0 to 2^53, and the character after it. */
  number(value: number, after: string): void {
    let digits = 1;
    for (let power = 10; value >= power; power *= 10) digits++;
    const end = this.#length + digits;
    let rest = value;
    for (let at = end - 1; at >= this.#length; at--) {
      const tenth = Math.floor(rest / 10);
      this.#bytes[at] = 48 + rest - 10 * tenth;
      rest = tenth;
    }
    this.#bytes[end] = after.charCodeAt(0);
    this.#length = end + 1;
  }

  /** Text as it stands. */
  text(text: string): void {
    this.#length += this.#bytes.write(text, this.#length);
  }

  /** What is there; valid until the block is filled again. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }
}

/** A field in quotes where it needs them. */
export function quoted(field: string): string {
  return /[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
