import type { IncomingMessage } from "node:http";
import { setTimeout } from "node:timers/promises";
import { NetworkError, UserLlmError } from "../../errors.js";
import type { LongCall } from "../../progress.js";

export interface RetryOptions extends LongCall {
  /** Failures in a row, without a byte in between, after which it gives up. Default: 5. */
  retries?: number | undefined;
  /** Before the first repetition; it doubles for each. Default: 1000. */
  retryDelayMs?: number | undefined;
}

interface Repeating extends RetryOptions {
  /** What is tried, for messages: `ml-20m.zip: https://files.grouplens.org`. */
  readonly what: string;
  /** How far it has got; an attempt that gets further makes all earlier failures forgotten. */
  reached?(): number;
}

const longestDelayMs = 60_000;

/** Fails now, and may work later. */
export class Passing extends Error {
  constructor(
    message: string,
    readonly waitMs = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Tries until it works, or fails in a way that does not pass.
 *
 * @throws NetworkError after too many failures
 */
export async function repeat<T>(attempt: () => Promise<T>, options: Repeating): Promise<T> {
  const { what, reached = () => 0, retries = 5, retryDelayMs = 1000, signal } = options;
  for (let failures = 0; ; ) {
    signal?.throwIfAborted();
    const before = reached();
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Passing)) throw error;
      failures = reached() > before ? 1 : failures + 1;
      if (failures > retries) {
        const message = `${what} failed ${failures} times: ${error.message}`;
        throw new NetworkError(message, { cause: error });
      }
      const delay = Math.max(error.waitMs, retryDelayMs * 2 ** (failures - 1));
      await pause(Math.min(delay, longestDelayMs), signal);
    }
  }
}

/** Rejects with the reason of the signal, where Node's own rejects with an error of its own. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await setTimeout(ms, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
}

/** What the network throws is worth repeating, but for what we throw ourselves and certificates. */
export async function passing<T>(url: URL, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (error instanceof UserLlmError) throw error;
    if (/CERT|^ERR_TLS|^ERR_INVALID|^UND_ERR_INVALID/.test(code)) {
      throw new NetworkError(`${url.origin}: ${message}`, { cause: error });
    }
    throw new Passing(message || code, 0, { cause: error });
  }
}

/** A server that is busy may have time later; undefined if it is not. */
export function busyFor(
  url: URL,
  { statusCode = 0, headers }: IncomingMessage,
): Passing | undefined {
  if (statusCode !== 408 && statusCode !== 429 && statusCode < 500) return undefined;
  return new Passing(`it answered ${statusCode} for ${url}`, retryAfterMs(headers["retry-after"]));
}

function retryAfterMs(value = ""): number {
  const seconds = Number(value);
  if (value !== "" && Number.isFinite(seconds)) return 1000 * seconds;
  const until = Date.parse(value) - Date.now();
  return Number.isFinite(until) ? Math.max(until, 0) : 0;
}
