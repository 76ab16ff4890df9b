import { setImmediate } from "node:timers/promises";
import type { PreparedData, Windows } from "../data/index.js";
import { UsageError } from "../errors.js";
import type { LongCall } from "../progress.js";

/** Rows between two breaths. */
const breath = 1 << 17;

/**
 * Goes over the events that training sees, user by user: the inputs and targets of its windows, and nothing of validation
 * or test.
 *
 * @param work on the rows `from ... to - 1` of a user, which are all of its training events
 * @throws UsageError when the windows are of other data
 */
export async function forTrainingSpans(
  data: PreparedData,
  train: Windows,
  task: string,
  { signal, onProgress }: LongCall,
  work: (from: number, to: number) => void,
): Promise<void> {
  if (train.users !== data.users || train.starts[data.users] !== data.events)
    throw new UsageError(`${task}: the windows are of other data than ${data.folder}`);
  let rows = 0;
  for (let user = 0; user < data.users; user++) {
    const [from, to] = train.span(user);
    if (to > from) work(from, to);
    rows += to - from;
    if (rows < breath && user + 1 < data.users) continue;
    rows = 0;
    signal?.throwIfAborted();
    onProgress?.({ task, done: data.userOffsets[user + 1]!, total: data.events, unit: "rows" });
    await setImmediate();
  }
}
