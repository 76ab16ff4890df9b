import { type Context, createContext, Script } from "node:vm";
import { UsageError } from "../../errors.js";

/** Where the script finds its function. */
const callee: { run?: (() => unknown) | undefined } = {};
const script = new Script("run()");
/** One for all calls: to make one takes a millisecond. */
let context: Context | undefined;

/**
 * Calls a function that a file had a say in. A loop of its template or a regular expression that backtracks is ended when
 * the time is up. Takes some 50 microseconds by itself.
 *
 * @param what is going on, for the message
 * @throws UsageError when the time is up
 */
export function withinTime<Result>(limitMs: number, what: string, run: () => Result): Result {
  const outer = callee.run;
  callee.run = run;
  context ??= createContext(callee);
  try {
    return script.runInContext(context, { timeout: limitMs }) as Result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException | null)?.code !== "ERR_SCRIPT_EXECUTION_TIMEOUT")
      throw error;
    throw new UsageError(`${what}: not done after ${limitMs} ms, the time limit`, { cause: error });
  } finally {
    callee.run = outer;
  }
}
