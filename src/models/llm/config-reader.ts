import { CheckpointError } from "../../errors.js";

type Json = Readonly<Record<string, unknown>>;

/**
 * A model's `config.json`, read by what is expected of it. What is of another kind is an error that names file and key;
 * `null` is as absent.
 */
export class ConfigReader {
  /** @param file for errors */
  constructor(
    readonly json: Json,
    readonly file = "config.json",
    /** Keys that lead here, for errors. */
    readonly path = "",
  ) {}

  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  /** A whole number from 1 to 2^24. */
  count(key: string, otherwise?: number): number {
    return this.#read(key, `a whole number from 1 to ${mostCounted}`, isCount, otherwise);
  }

  number(key: string, otherwise?: number): number {
    return this.#read(key, "a number", isNumber, otherwise);
  }

  /** A number above 0. */
  positive(key: string, otherwise?: number): number {
    return this.#read(key, "a number above 0", (value) => isNumber(value) && value > 0, otherwise);
  }

  boolean(key: string, otherwise?: boolean): boolean {
    return this.#read(key, "true or false", (value) => typeof value === "boolean", otherwise);
  }

  text(key: string, otherwise?: string): string {
    return this.#read(key, "a text", (value) => typeof value === "string", otherwise);
  }

  numbers(key: string): readonly number[] {
    return this.#read(
      key,
      "a list of numbers",
      (value): value is number[] => Array.isArray(value) && value.every(isNumber),
    );
  }

  texts(key: string): readonly string[] {
    return this.#read(
      key,
      "a list of texts",
      (value): value is string[] =>
        Array.isArray(value) && value.every((item) => typeof item === "string"),
    );
  }

  /** An object inside; undefined where there is none. */
  section(key: string): ConfigReader | undefined {
    if (!this.has(key)) return undefined;
    const value = this.#read<Json>(key, "an object", isObject);
    return new ConfigReader(value, this.file, `${this.#name(key)}.`);
  }

  /**
   * One of the texts in a table, as what it stands for.
   *
   * @throws CheckpointError that names what is supported
   */
  choice<T>(key: string, choices: Readonly<Record<string, T>>, otherwise?: string): T {
    const value = this.text(key, otherwise);
    if (Object.hasOwn(choices, value)) return choices[value]!;
    const names = Object.keys(choices).map((name) => `"${name}"`);
    throw this.error(key, `must be ${names.join(" or ")}`);
  }

  /** Refuses a key that is set to anything else: what we would otherwise silently leave out. */
  expect(key: string, ...allowed: readonly (string | number | boolean)[]): void {
    const value = this.json[key];
    if (!this.has(key) || allowed.includes(value as string)) return;
    throw this.error(
      key,
      `is supported only as ${allowed.map((each) => JSON.stringify(each)).join(" or ")}`,
    );
  }

  /** `config.json: rope_scaling.type must be "linear", got "yarn"` */
  error(key: string, rule: string): CheckpointError {
    const got = this.has(key) ? `, got ${shown(this.json[key])}` : ", and it is missing";
    return new CheckpointError(`${this.file}: ${this.#name(key)} ${rule}${got}`);
  }

  #name(key: string): string {
    return `${this.path}${key}`;
  }

  #read<T>(key: string, rule: string, fits: (value: unknown) => boolean, otherwise?: T): T {
    if (!this.has(key) && otherwise !== undefined) return otherwise;
    const value = this.json[key];
    if (!fits(value)) throw this.error(key, `must be ${rule}`);
    return value as T;
  }
}

const isNumber = (value: unknown): value is number => Number.isFinite(value);

/** Enough for any model, and too little to exhaust anything before a shape is compared with a file. */
const mostCounted = 2 ** 24;

const isCount = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= mostCounted;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
