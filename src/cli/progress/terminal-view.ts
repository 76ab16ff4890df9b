import type { Colours } from "../colour.js";
import type { Output } from "../host.js";
import { truncate, visible, width } from "../text.js";
import type { Phase, PhaseView } from "./phase.js";
import { details, share } from "./phrases.js";

const barWidth = 20;
const clearLine = "\r\x1b[K";

/** One line of a terminal, drawn over ten times a second at most, and gone at the end. */
export function terminalView(output: Output, colours: Colours): PhaseView & { clear(): void } {
  let drawn = false;
  const clear = (): void => {
    if (drawn) output.write(clearLine);
    drawn = false;
  };
  const draw = (phase: Phase): void => {
    output.write(clearLine + line(phase, (output.columns ?? 80) - 1, colours));
    drawn = true;
  };
  return { interval: 100, begin: draw, tick: draw, end: clear, clear };
}

function line(phase: Phase, columns: number, colours: Colours): string {
  const task = visible(phase.latest.task);
  const figures = visible(details(phase).join("  "));
  const part = share(phase.latest);
  const spare = columns - width(task) - width(figures) - 4;
  if (part !== undefined && spare >= barWidth) {
    const full = Math.floor(part * barWidth);
    const bar = colours.cyan("━".repeat(full)) + colours.dim("─".repeat(barWidth - full));
    return `${task}  ${bar}  ${figures}`;
  }
  return truncate(`${task}  ${figures}`, columns);
}
