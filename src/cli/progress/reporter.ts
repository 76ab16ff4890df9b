import type { ProgressListener } from "../../progress.js";
import type { Colours } from "../colour.js";
import type { Failure } from "../failure.js";
import type { Host } from "../host.js";
import { visible } from "../text.js";
import { jsonView } from "./json-view.js";
import { trackPhases } from "./phase.js";
import { plainView } from "./plain-view.js";
import { terminalView } from "./terminal-view.js";

export const progressModes = ["auto", "tty", "plain", "json", "none"] as const;
export type ProgressMode = (typeof progressModes)[number];

/** The one writer on stderr, so that lines of progress, notes and errors do not run into each other. */
export interface Reporter {
  onProgress: ProgressListener;
  /** Says a line to people. */
  note(message: string): void;
  /** @param trace where it came from, for those who look for faults */
  error(failure: Failure, trace?: string): void;
  /** Ends what is being shown. @param complete whether the work came to its end */
  close(complete: boolean): void;
}

export interface ReporterOptions {
  mode: ProgressMode;
  /** Neither progress nor notes; errors only. */
  quiet: boolean;
  colours: Colours;
  /** Milliseconds. Default: `performance.now`. */
  now?: (() => number) | undefined;
}

export function createReporter(host: Host, options: ReporterOptions): Reporter {
  const { quiet, colours, now = () => performance.now() } = options;
  const { stderr } = host;
  const mode = quiet && options.mode !== "json" ? "none" : resolveMode(options.mode, host);
  const terminal = mode === "tty" ? terminalView(stderr, colours) : undefined;
  const view =
    terminal ??
    (mode === "plain" ? plainView(stderr) : mode === "json" ? jsonView(stderr) : undefined);
  const phases = view && !quiet ? trackPhases(view, now) : undefined;

  const say = (event: string, line: string, fields: object): void => {
    terminal?.clear();
    stderr.write(mode === "json" ? `${JSON.stringify({ v: 1, event, ...fields })}\n` : `${line}\n`);
  };
  return {
    onProgress: (progress) => phases?.update(progress),
    note(message) {
      if (!quiet) say("note", visible(message), { message });
    },
    error({ name, code, message, exitCode }, trace) {
      const label = colours.bold(colours.red(`${name}:`));
      const line = `${label} ${message}${trace === undefined ? "" : `\n${trace}`}`;
      say("error", line, { code, message, exitCode, trace });
    },
    close: (complete) => phases?.close(complete),
  };
}

/** `auto` draws a line where somebody watches a terminal that can, and writes lines elsewhere. */
function resolveMode(mode: ProgressMode, { stderr, env }: Host): Exclude<ProgressMode, "auto"> {
  if (mode !== "auto") return mode;
  const watched = stderr.isTTY === true && env.TERM !== "dumb";
  return watched && !env.CI ? "tty" : "plain";
}
