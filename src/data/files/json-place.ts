import { DataError } from "../../errors.js";

/** A value of the JSON and where it is. */
export class Place {
  constructor(
    readonly file: string,
    readonly path: string,
    readonly value: unknown,
  ) {}

  /** @throws DataError when the text is not JSON */
  static parse(file: string, text: string): Place {
    try {
      return new Place(file, "", JSON.parse(text));
    } catch (error) {
      throw new DataError(`${file}: not JSON (${(error as Error).message})`, { cause: error });
    }
  }

  get(key: string): Place {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.fail("an object");
    const path = this.path === "" ? key : `${this.path}.${key}`;
    const inner = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
    return new Place(this.file, path, inner);
  }

  list(): Place[] {
    const { value } = this;
    if (!Array.isArray(value)) this.fail("a list");
    return value.map((element, i) => new Place(this.file, `${this.path}[${i}]`, element));
  }

  text(): string {
    return typeof this.value === "string" ? this.value : this.fail("a text");
  }

  integer(): number {
    const { value } = this;
    return typeof value === "number" && Number.isSafeInteger(value)
      ? value
      : this.fail("a whole number");
  }

  count(): number {
    const { value } = this;
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
      ? value
      : this.fail("a count");
  }

  number(): number {
    return typeof this.value === "number" ? this.value : this.fail("a number");
  }

  /** Whole numbers from `least` to `most`: of lists too long to look at with {@link list}. */
  wholeNumbers(least: number, most: number): number[] {
    const { value } = this;
    if (!Array.isArray(value)) this.fail("a list");
    const isFine = (x: unknown): boolean =>
      Number.isSafeInteger(x) && least <= (x as number) && (x as number) <= most;
    const wrong = value.findIndex((element) => !isFine(element));
    if (wrong >= 0) {
      const place = new Place(this.file, `${this.path}[${wrong}]`, value[wrong]);
      place.fail(`a whole number from ${least} to ${most}`);
    }
    return value;
  }

  flag(): boolean {
    return typeof this.value === "boolean" ? this.value : this.fail("true or false");
  }

  hash(): string {
    const { value } = this;
    return typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
      ? value
      : this.fail("a SHA-256");
  }

  oneOf<const Name extends string>(names: readonly Name[]): Name {
    const found = names.find((name) => name === this.value);
    return found ?? this.fail(`one of ${names.map((name) => `"${name}"`).join(", ")}`);
  }

  orNull<T>(read: (place: Place) => T): T | null {
    return this.value === null ? null : read(this);
  }

  fail(expected: string): never {
    const what = this.path === "" ? "it must hold" : `"${this.path}" must be`;
    throw new DataError(`${this.file}: ${what} ${expected}, got ${shown(this.value)}`);
  }
}

/** A value for a message, shortened. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = textOf(value);
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return "brackets in brackets"; // deeper than the stack, which parsing does not mind
  }
}
