import type { Output } from "../host.js";
import { visible } from "../text.js";
import type { PhaseView } from "./phase.js";
import { details, summary } from "./phrases.js";

/** Tasks that are over sooner are not worth a second line. */
const summarisedSeconds = 1;

/** Lines for logs: at the start of a task, every five seconds, and at the end of a task that took a while. */
export function plainView(output: Output): PhaseView {
  const say = (text: string): void => {
    output.write(`${visible(text)}\n`);
  };
  return {
    interval: 5000,
    begin: ({ latest }) => say(latest.task),
    tick: (phase) => say(`${phase.latest.task}: ${details(phase).join(", ")}`),
    end: (phase, complete) => {
      if (complete && phase.elapsed >= summarisedSeconds) {
        say(`${phase.latest.task}: ${summary(phase)}`);
      }
    },
  };
}
