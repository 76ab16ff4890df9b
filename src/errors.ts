/** Every error this package throws on purpose. `code` is stable; messages may improve. */
export class UserLlmError extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Shapes that do not go together. */
export class ShapeError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_SHAPE", message, options);
  }
}

/** An element type that an operation does not take. */
export class DTypeError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_DTYPE", message, options);
  }
}

/** A device that is not there, or tensors on different ones. */
export class DeviceError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_DEVICE", message, options);
  }
}

/** A call that breaks the rules of the API: disposed tensors, wrong arguments. */
export class UsageError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_USAGE", message, options);
  }
}

/** A configuration value. */
export class ConfigError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_CONFIG", message, options);
  }
}

/** Input data: names file, row and column where it can. */
export class DataError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_DATA", message, options);
  }
}

/** A record of a raw file: `ratings.csv, line 4 813, column "rating": expected a number, got "5O"`. */
export class RowError extends DataError {
  constructor(
    readonly file: string,
    /** From 1. */
    readonly line: number,
    readonly column: string | undefined,
    /** What was expected, without the value, so that errors of a kind can be counted. */
    readonly rule: string,
    /** The offending value, shortened. */
    readonly got?: string,
  ) {
    const where = column === undefined ? "" : `, column "${column}"`;
    const what = got === undefined ? rule : `${rule}, got ${got}`;
    super(`${file}, line ${line}${where}: ${what}`);
  }
}

/** A checkpoint or weights file. */
export class CheckpointError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_CHECKPOINT", message, options);
  }
}

/** A training run that cannot go on: its loss or its weights are no longer numbers. */
export class TrainingError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_TRAINING", message, options);
  }
}

/** The native library: it could not be loaded, an op failed on the device, or memory ran out. */
export class NativeError extends UserLlmError {
  constructor(
    message: string,
    options?: ErrorOptions & { code?: "ERR_NATIVE" | "ERR_NATIVE_MISSING" | "ERR_OUT_OF_MEMORY" },
  ) {
    super(options?.code ?? "ERR_NATIVE", message, options);
  }
}

/** The network: no connection, a server's refusal, a checksum that does not match. */
export class NetworkError extends UserLlmError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_NETWORK", message, options);
  }
}
