import { SyntaxFault } from "./syntax-fault.js";

/** Levels of nesting and digits of a whole number: more is refused, by Python too. */
const deepest = 200;
const mostDigits = 4300;

const space = /[ \t\f\r\n]*/y;
const word = /[\p{L}_][\p{L}\p{N}_]*/uy;
/** Decimal numbers may have a zero in front here, whole ones may not. */
const number =
  /[+-]?(?:0[xX](?:_?[\da-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:(?:\d(?:_?\d)*)?\.\d(?:_?\d)*|\d(?:_?\d)*\.?)(?:[eE][+-]?\d(?:_?\d)*)?)(?![\w.])/y;
const whole = /^[+-]?(?:0[xXoObB][\da-fA-F]+|0+|[1-9]\d*)$/;
const zeroInFront = /^[+-]?0\d+$/;
const hexadecimal = /^[\da-fA-F]+$/;
const octal = /[0-7]{1,3}/y;

const newline = 0x0a;
const carriageReturn = 0x0d;
const backslash = 0x5c;

const escapes: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const digitsOfEscape: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * The value of a Python literal, as `repr` writes it and `ast.literal_eval` reads it. Nothing is evaluated: names,
 * calls and operators are faults.
 *
 * Dictionaries become objects, with keys as `json.dumps` writes them; lists and tuples become arrays; `None` becomes
 * null; whole numbers beyond 2^53 become bigints. Bytes (`b"..."`), sets, complex numbers and named characters
 * (`\N{...}`) are refused.
 *
 * @throws SyntaxFault at the first character that does not belong
 */
export function parsePythonLiteral(text: string): unknown {
  const parser = new PythonLiteral(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

class PythonLiteral {
  #at = 0;

  constructor(readonly text: string) {}

  value(depth: number): unknown {
    this.#skipSpace();
    switch (this.text[this.#at]) {
      case "{":
        return this.#dictionary(depth);
      case "[":
        return this.#list(depth);
      case "(":
        return this.#tuple(depth);
      case "'":
      case '"':
        return this.#strings();
      default:
        return this.#numberOrWord();
    }
  }

  end(): void {
    this.#skipSpace();
    if (this.#at < this.text.length) throw this.#fault("expected the end of the line");
  }

  #dictionary(depth: number): Record<string, unknown> {
    this.#open(depth);
    const object: Record<string, unknown> = {};
    while (!this.#takes("}")) {
      const key = this.#key(depth);
      if (!this.#takes(":")) throw this.#fault('expected ":"');
      const value = this.value(depth + 1);
      if (key === "__proto__") {
        // An assignment would set the prototype.
        Object.defineProperty(object, key, {
          value,
          configurable: true,
          enumerable: true,
          writable: true,
        });
      } else {
        object[key] = value;
      }
      if (!this.#takes(",") && !this.#comes("}")) throw this.#fault('expected "," or "}"');
    }
    return object;
  }

  #key(depth: number): string {
    this.#skipSpace();
    const at = this.#at;
    const key = this.value(depth + 1);
    if (typeof key !== "object" || key === null) return String(key);
    throw this.#fault("expected a key that is a text or a number", at);
  }

  #list(depth: number): unknown[] {
    this.#open(depth);
    const values: unknown[] = [];
    while (!this.#takes("]")) {
      values.push(this.value(depth + 1));
      if (!this.#takes(",") && !this.#comes("]")) throw this.#fault('expected "," or "]"');
    }
    return values;
  }

  /** A tuple; or one value in parentheses, which is that value. */
  #tuple(depth: number): unknown {
    this.#open(depth);
    const values: unknown[] = [];
    let comma = false;
    while (!this.#takes(")")) {
      values.push(this.value(depth + 1));
      if (this.#takes(",")) comma = true;
      else if (!this.#comes(")")) throw this.#fault('expected "," or ")"');
    }
    return values.length === 1 && !comma ? values[0] : values;
  }

  #open(depth: number): void {
    if (depth >= deepest) throw this.#fault(`expected at most ${deepest} levels`);
    this.#at++;
  }

  /** A string, or several side by side, which are one. */
  #strings(): string {
    let joined = this.#string();
    while (this.#comesString()) joined += this.#string();
    return joined;
  }

  #comesString(): boolean {
    this.#skipSpace();
    const next = this.text[this.#at];
    if (next === "'" || next === '"') return true;
    const after = this.text[this.#at + 1];
    if ((next !== "u" && next !== "U") || (after !== "'" && after !== '"')) return false;
    this.#at++;
    return true;
  }

  #string(): string {
    const { text } = this;
    const quote = text[this.#at]!;
    const triple = text.startsWith(quote.repeat(3), this.#at);
    const closing = triple ? quote.repeat(3) : quote;
    const quoteCode = quote.charCodeAt(0);
    this.#at += closing.length;
    let value = "";
    for (;;) {
      const from = this.#at;
      let at = from;
      let code = text.charCodeAt(at);
      while (code !== quoteCode && code !== backslash && at < text.length) {
        if ((code === newline || code === carriageReturn) && !triple) break;
        code = text.charCodeAt(++at);
      }
      this.#at = at;
      value += text.slice(from, at);
      if (code === backslash) value += this.#escape();
      else if (code !== quoteCode) throw this.#fault("expected a closing quote");
      else if (text.startsWith(closing, at)) {
        this.#at += closing.length;
        return value;
      } else {
        value += quote;
        this.#at++;
      }
    }
  }

  #escape(): string {
    const { text } = this;
    const name = text[this.#at + 1] ?? "";
    const known = escapes[name];
    const length = digitsOfEscape[name];
    if (known !== undefined) {
      this.#at += 2;
      return known;
    }
    if (length !== undefined) {
      const digits = text.slice(this.#at + 2, this.#at + 2 + length);
      const code = Number.parseInt(digits, 16);
      if (digits.length < length || !hexadecimal.test(digits) || code > 0x10ffff) {
        throw this.#fault(`expected \\${name} and ${length} hexadecimal digits of a character`);
      }
      this.#at += 2 + length;
      return String.fromCodePoint(code);
    }
    if (name === "N") throw this.#fault("expected no named character (\\N{...})");
    const digits = match(octal, text, this.#at + 1);
    if (digits !== "") {
      this.#at += 1 + digits.length;
      return String.fromCharCode(Number.parseInt(digits, 8));
    }
    this.#at += 1;
    return "\\"; // what Python does with an escape that it does not know
  }

  #numberOrWord(): unknown {
    if (this.#comesString()) return this.#strings();
    const token = match(number, this.text, this.#at);
    const name = token === "" ? match(word, this.text, this.#at) : "";
    const value = token === "" ? constantOf(name) : numberOf(token.replaceAll("_", ""));
    if (value === undefined) throw this.#fault("expected a Python literal");
    this.#at += token.length + name.length;
    return value;
  }

  /** Whether the character comes next, which is then taken. */
  #takes(character: string): boolean {
    const comes = this.#comes(character);
    if (comes) this.#at++;
    return comes;
  }

  #comes(character: string): boolean {
    this.#skipSpace();
    return this.text[this.#at] === character;
  }

  #skipSpace(): void {
    // Nearly always nothing, or one space.
    if (this.text.charCodeAt(this.#at) > 0x20) return;
    this.#at += match(space, this.text, this.#at).length;
  }

  #fault(expected: string, at = this.#at): SyntaxFault {
    return new SyntaxFault(expected, this.text, at);
  }
}

function constantOf(name: string): boolean | null | undefined {
  if (name === "None") return null;
  return name === "True" ? true : name === "False" ? false : undefined;
}

function numberOf(token: string): number | bigint | undefined {
  if (zeroInFront.test(token) && !whole.test(token)) return undefined;
  if (!whole.test(token)) return Number(token);
  if (token.length > mostDigits) return undefined;
  const size = BigInt(token.replace(/^[+-]/, ""));
  const value = token.startsWith("-") ? -size : size;
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}
