import type { LoaderState } from "../../data/index.js";
import { CheckpointError } from "../../errors.js";
import type { GeneratorState } from "../../ops/index.js";
import type { EarlyStopping } from "../early-stopping.js";
import type { MeterState } from "../meter.js";
import type { StoredFile } from "./files.js";

/** All of a run that is neither the model's nor the optimizer's. Plain data. */
export interface RunState {
  /** Optimizer steps done. */
  readonly step: number;
  /** Spent on steps since the run began, whatever interrupted it. */
  readonly seconds: number;
  readonly batches: LoaderState;
  /** The default generator, then those given. */
  readonly generators: readonly GeneratorState[];
  readonly earlyStopping: EarlyStopping;
  /** Step of the last validation; 0 before the first. */
  readonly validatedAt: number;
  /** What the next line of the log has so far. */
  readonly meter: MeterState;
  readonly settings: RunSettings;
}

/** What has to be the same for a resumed run to equal an uninterrupted one. */
export interface RunSettings {
  readonly accumulate: number;
  /** null: none */
  readonly clipNorm: number | null;
  /** Learning rates of some steps up to this one, by step: `[["0", 0], ["100", 1e-3]]`. */
  readonly learningRates: readonly (readonly [step: number, rate: number])[];
  /** What the caller compares: hashes of data and configuration, by what they are of. */
  readonly fingerprints: Readonly<Record<string, string>>;
}

/** `state.json` */
export interface StateFile extends RunState {
  readonly format: typeof stateFormat;
  readonly version: typeof stateVersion;
  /** Everything else in the folder. */
  readonly files: readonly StoredFile[];
}

export const stateFormat = "user-llm-checkpoint";
export const stateVersion = 1;

/**
 * Reads `state.json`; whatever stands in it, the result has the right shape.
 *
 * @param where for messages: the path of the file
 * @throws CheckpointError
 */
export function parseState(text: string, where: string): StateFile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${where}: is not JSON: ${(cause as Error).message}`, { cause });
  }
  const state = new Reader(parsed, where, "");
  if (state.field("format").value !== stateFormat)
    throw new CheckpointError(`${where}: is not the state of a checkpoint`);
  const version = state.field("version").value;
  if (version !== stateVersion)
    throw new CheckpointError(
      `${where}: has version ${JSON.stringify(version)}; this release reads ${stateVersion}`,
    );
  const { field } = state;
  return {
    format: stateFormat,
    version: stateVersion,
    step: field("step").count(),
    seconds: field("seconds").amount(),
    batches: readBatches(field("batches")),
    generators: field("generators").list(readGenerator),
    earlyStopping: readEarlyStopping(field("earlyStopping")),
    validatedAt: field("validatedAt").count(),
    meter: readMeter(field("meter")),
    settings: readSettings(field("settings")),
    files: field("files").list(({ field }) => ({
      name: field("name").text(),
      bytes: field("bytes").count(),
      sha256: field("sha256").text(),
    })),
  };
}

const readBatches = ({ field }: Reader): LoaderState => ({
  epoch: field("epoch").count(),
  position: field("position").count(),
  fingerprint: field("fingerprint").text(),
});

const readGenerator = ({ field }: Reader): GeneratorState => ({
  seed: field("seed").count(),
  step: field("step").count(),
  call: field("call").count(),
});

function readEarlyStopping({ field }: Reader): EarlyStopping {
  const { value, field: ofBest } = field("best");
  const waited = field("waited").count();
  if (value === undefined) return { waited };
  return { best: { step: ofBest("step").count(), value: ofBest("value").number() }, waited };
}

const readMeter = ({ field }: Reader): MeterState => ({
  steps: field("steps").count(),
  examples: field("examples").amount(),
  positions: field("positions").amount(),
  counted: field("counted").amount(),
  seconds: field("seconds").amount(),
  losses: field("losses").entries((loss) => loss.number()),
  gradientNorms: field("gradientNorms").amount(),
});

const readSettings = ({ field }: Reader): RunSettings => ({
  accumulate: field("accumulate").count(),
  clipNorm: field("clipNorm").value === null ? null : field("clipNorm").amount(),
  learningRates: field("learningRates").list((pair) => {
    const [step, rate] = pair.list((part) => part.amount());
    return [step ?? 0, rate ?? 0] as const;
  }),
  fingerprints: field("fingerprints").entries((text) => text.text()),
});

/** A value of unknown shape, with its place for messages. */
class Reader {
  constructor(
    readonly value: unknown,
    readonly where: string,
    readonly path: string,
  ) {}

  /** Of an object. */
  readonly field = (name: string): Reader => {
    const object = this.#object();
    const path = this.path === "" ? name : `${this.path}.${name}`;
    return new Reader(Object.hasOwn(object, name) ? object[name] : undefined, this.where, path);
  };

  number(): number {
    return typeof this.value === "number" ? this.value : this.#refuse("a number");
  }

  amount(): number {
    const value = this.number();
    return value >= 0 ? value : this.#refuse("a number from 0");
  }

  count(): number {
    const value = this.amount();
    return Number.isSafeInteger(value) ? value : this.#refuse("a whole number from 0");
  }

  text(): string {
    return typeof this.value === "string" ? this.value : this.#refuse("a text");
  }

  list<T>(read: (item: Reader) => T): T[] {
    if (!Array.isArray(this.value)) return this.#refuse("a list");
    return this.value.map((item, i) => read(new Reader(item, this.where, `${this.path}[${i}]`)));
  }

  entries<T>(read: (item: Reader) => T): Record<string, T> {
    const names = Object.keys(this.#object());
    return Object.fromEntries(names.map((name) => [name, read(this.field(name))]));
  }

  #object(): Readonly<Record<string, unknown>> {
    const { value } = this;
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>;
    return this.#refuse("an object");
  }

  #refuse(expected: string): never {
    const got = JSON.stringify(this.value)?.slice(0, 40) ?? "nothing";
    const place = this.path === "" ? "" : ` ${this.path}:`;
    throw new CheckpointError(`${this.where}:${place} expected ${expected}, got ${got}`);
  }
}
