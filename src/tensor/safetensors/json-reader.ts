import { CheckpointError } from "../../errors.js";

/** A computation that waits for bytes: every `yield` is answered with the next piece, an empty one is the end. */
export type Waiting<T> = Generator<undefined, T, Buffer>;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads JSON of a known structure from pieces of bytes. The caller says what comes next and what is too much, so that a
 * hostile file is refused at the first byte that does not belong, with no more held than what was accepted before.
 */
export class JsonReader {
  /** What the errors are about. */
  subject: string;
  #piece: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(
    readonly file: string,
    readonly whole: string,
  ) {
    this.subject = whole;
  }

  fail(reason: string): never {
    throw new CheckpointError(`${this.file}: ${this.subject}: ${reason}`);
  }

  /** The next byte, -1 at the end; not consumed. */
  *peek(): Waiting<number> {
    if (this.#at === this.#piece.length) {
      this.#piece = yield;
      this.#at = 0;
    }
    return this.#at < this.#piece.length ? this.#piece[this.#at]! : -1;
  }

  /** Skips white space. Whether `character` is next; not consumed. */
  *sees(character: string): Waiting<boolean> {
    for (;;) {
      const byte = yield* this.peek();
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)
        return byte === character.charCodeAt(0);
      this.#at++;
    }
  }

  *accept(character: string): Waiting<boolean> {
    const is = yield* this.sees(character);
    if (is) this.#at++;
    return is;
  }

  *expect(character: string): Waiting<void> {
    if (!(yield* this.accept(character)))
      this.fail(`not a valid ${this.whole}, ${character} expected`);
  }

  *expectEnd(): Waiting<void> {
    yield* this.sees(" ");
    if ((yield* this.peek()) !== -1)
      this.fail(`not a valid ${this.whole}, something follows its }`);
  }

  /** @param limit bytes between the quotes */
  *string(limit: number): Waiting<string> {
    yield* this.expect('"');
    const parts: Buffer[] = [];
    let bytes = 0;
    let escaped = false;
    for (let open = true; open; ) {
      if ((yield* this.peek()) < 0) this.fail(`not a valid ${this.whole}, it ends inside a string`);
      let end = this.#at;
      for (; end < this.#piece.length && open; end++) {
        const byte = this.#piece[end]!;
        if (byte < 0x20) this.fail(`not a valid ${this.whole}, a string has a control character`);
        if (escaped) escaped = false;
        else if (byte === 0x5c) escaped = true;
        else open = byte !== 0x22;
      }
      bytes += end - this.#at;
      if (bytes > limit + 1) this.fail(`a string is longer than ${limit} bytes`);
      parts.push(Buffer.from(this.#piece.subarray(this.#at, end)));
      this.#at = end;
    }
    try {
      return JSON.parse(`"${decoder.decode(Buffer.concat(parts))}`) as string;
    } catch {
      return this.fail(`not a valid ${this.whole}, a string is not valid JSON`);
    }
  }

  *wholeNumber(what: string): Waiting<number> {
    yield* this.sees(" ");
    let value = 0;
    let digits = 0;
    let byte = yield* this.peek();
    for (; byte >= 0x30 && byte <= 0x39; byte = yield* this.peek()) {
      value = value * 10 + byte - 0x30;
      if (digits++ > 0 && value < 10) this.fail(`${what} has a number with a leading zero`);
      if (value > Number.MAX_SAFE_INTEGER) this.fail(`${what} has a number above 2^53 - 1`);
      this.#at++;
    }
    if (digits === 0 || byte === 0x2e || byte === 0x45 || byte === 0x65)
      this.fail(`${what} must hold whole numbers from 0 on`);
    return value;
  }

  *wholeNumbers(what: string, most: number): Waiting<number[]> {
    const values: number[] = [];
    if (!(yield* this.accept("["))) this.fail(`${what} must be an array`);
    if (yield* this.accept("]")) return values;
    do {
      if (values.length === most) this.fail(`${what} has more than ${most} numbers`);
      values.push(yield* this.wholeNumber(what));
    } while (yield* this.accept(","));
    yield* this.expect("]");
    return values;
  }

  /**
   * Calls `entry` for every key of an object; it consumes the value.
   *
   * @param limit bytes of a key
   */
  *object(limit: number, entry: (key: string) => Waiting<void>): Waiting<void> {
    yield* this.expect("{");
    if (yield* this.accept("}")) return;
    do {
      const key = yield* this.string(limit);
      yield* this.expect(":");
      yield* entry(key);
    } while (yield* this.accept(","));
    yield* this.expect("}");
  }

  /** Skips a value of at most `depth` levels. */
  *skip(limit: number, depth: number): Waiting<void> {
    if (depth === 0) this.fail("it is nested too deeply");
    if (yield* this.sees("{")) {
      const inner = () => this.skip(limit, depth - 1);
      yield* this.object(limit, inner);
    } else if (yield* this.accept("[")) {
      if (yield* this.accept("]")) return;
      do yield* this.skip(limit, depth - 1);
      while (yield* this.accept(","));
      yield* this.expect("]");
    } else if (yield* this.sees('"')) yield* this.string(limit);
    else {
      // A number, true, false or null: what it is exactly does not matter here.
      let length = 0;
      for (let byte = yield* this.peek(); isWord(byte); byte = yield* this.peek()) {
        if (++length > 64) break;
        this.#at++;
      }
      if (length === 0 || length > 64) this.fail(`not a valid ${this.whole}, a value expected`);
    }
  }
}

const isWord = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || // 0-9
  (byte >= 0x61 && byte <= 0x7a) || // a-z
  byte === 0x45 || // E
  byte === 0x2b || // +
  byte === 0x2d || // -
  byte === 0x2e; // .

/** A name from a file as it may stand in a message. */
export function shown(name: string): string {
  const visible = JSON.stringify(name).slice(1, -1);
  return visible.length > 120 ? `${visible.slice(0, 120)}...` : visible;
}
