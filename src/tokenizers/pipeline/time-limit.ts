import { createContext, Script } from "node:vm";
import { UsageError } from "../../errors.js";

/** Where the script finds its function. One context for all calls: to make one takes a millisecond. */
const callee: { run?: (() => unknown) | undefined } = {};
const context = createContext(callee);
const script = new Script("run()");

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
