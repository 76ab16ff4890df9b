import { DataError, UserLlmError } from "../errors.js";
import { exitCodeOf } from "./exit-code.js";
import { visible } from "./text.js";

/** An error as the command line tells it. */
export interface Failure {
  /** `DataError` */
  readonly name: string;
  /** Stable: `ERR_DATA`. */
  readonly code: string;
  /** One line. */
  readonly message: string;
  readonly exitCode: number;
}

/** What the user is told of anything that was thrown. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof DataError) return failure("DataError", error.code, error.message);
  if (error instanceof UserLlmError) return failure(error.name, error.code, error.message);
  if (!(error instanceof Error)) return bug(`thrown: ${String(error)}`);
  if (isSystemError(error)) return failure("Error", error.code, systemMessage(error));
  if (error instanceof RangeError && /allocation failed|array length/i.test(error.message)) {
    return failure("OutOfMemory", "ERR_OUT_OF_MEMORY", error.message);
  }
  return bug(`${error.name}: ${error.message}`);
}

function failure(name: string, code: string, message: string): Failure {
  return { name, code, message: visible(message), exitCode: exitCodeOf(code) };
}

/** An error that nobody threw on purpose. */
function bug(what: string): Failure {
  return failure(
    "InternalError",
    "ERR_INTERNAL",
    `${what} (a fault of user-llm; USER_LLM_DEBUG=1 shows where)`,
  );
}

interface SystemError extends Error {
  code: string;
  syscall: string;
  path?: string;
}

/** An error of the operating system: a full disk, a missing permission. */
function isSystemError(error: Error): error is SystemError {
  const { code, syscall } = error as Partial<SystemError>;
  return typeof code === "string" && typeof syscall === "string";
}

/** Node says `ENOSPC: no space left on device, write`; the file comes first here, as in every other message. */
function systemMessage({ message, path, syscall }: SystemError): string {
  const [, reason = message] = /^[A-Z0-9]+: (.*?)(?:, \w+(?: '.*')?)?$/s.exec(message) ?? [];
  return path === undefined ? `${reason} (${syscall})` : `${path}: ${reason} (${syscall})`;
}
