import { type Curve, type RunDetails, validationCurve } from "../../train/run/run-details.js";
import type { Colours } from "../colour.js";
import { type Cell, table } from "../table.js";
import { bytes, count, duration, visible, width } from "../text.js";
import { measure, stateColour } from "./phrases.js";
import { otherResults, rankingTable } from "./results-text.js";
import { sparkline } from "./sparkline.js";

export interface ShowView {
  readonly colours: Colours;
  /** Of the terminal; undefined where lines may be as long as they like. */
  readonly columns: number | undefined;
}

const validationsShown = 8;

/** What `runs show` shows. */
export function describeRun(run: RunDetails, { colours, columns = 100 }: ShowView): string {
  const section = (title: string, text: string): string =>
    text === "" ? "" : `\n${colours.bold(title)}\n${text}`;
  const { summary, commands, warnings } = run;
  const state = stateColour(summary.state, colours)(summary.state);
  // Why it failed is among the warnings.
  const isTold = summary.state === "failed" || summary.state === summary.reason;
  const reason = isTold || summary.reason === null ? "" : ` (${visible(summary.reason)})`;
  return [
    `${colours.bold(visible(summary.name))}  ${state}${reason}\n`,
    ...warnings.map((warning) => `${colours.yellow("warning:")} ${visible(warning)}\n`),
    facts(factRows(run), columns),
    section("Configuration", facts(configRows(run), columns)),
    section("Curves", curves(run, columns, colours)),
    section("Validations", validationTable(run, columns)),
    section("Results", rankingTable(run) + facts(resultRows(run), columns)),
    section("Checkpoints", table(run.checkpoints.map(checkpointRow), { indent: "  " })),
    section(commands.length > 1 ? "Commands" : "Command", commands.map(commandText).join("")),
  ].join("");
}

/** Commands are whole, whatever their length: they are to be copied. */
const commandText = (line: string): string => `  ${visible(line)}\n`;

/** Names and texts; what is too long goes on in the next line, below where it began. */
function facts(rows: readonly (readonly [string, string])[], columns: number): string {
  const room = Math.max(20, columns - Math.max(...rows.map(([name]) => width(name))) - 4);
  const lines = rows.flatMap(([name, text]) =>
    wrap(visible(text), room).map((line, i) => [i === 0 ? name : "", line]),
  );
  return table(lines, { indent: "  " });
}

/** Lines that break at spaces. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && width(longer) <= columns) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function factRows({ summary, environment }: RunDetails): [string, string][] {
  const { encoder, data, step, steps, epoch, best, startedAt, seconds } = summary;
  const { model, split } = environment ?? {};
  const fingerprint = shortened(environment?.data?.fingerprint);
  const parameters = model?.parameters;
  const rows: [string, (string | undefined)[]][] = [
    [
      "encoder",
      [
        encoder ?? undefined,
        typeof parameters === "number" ? `${count(parameters)} parameters` : undefined,
      ],
    ],
    ["data", [data ?? undefined, fingerprint]],
    ["split", [shortened(split?.fingerprint)]],
    [
      "steps",
      step === null
        ? []
        : [
            steps === null || steps === step ? count(step) : `${count(step)} of ${count(steps)}`,
            epoch === null ? undefined : `${Number(epoch.toFixed(2))} epochs`,
            seconds === null ? undefined : duration(seconds),
          ],
    ],
    [
      "best",
      best === null ? [] : [`${best.metric} ${measure(best.value)}`, `step ${count(best.step)}`],
    ],
    ["started", startedAt === null ? [] : [localTime(startedAt)]],
    ["on", machine(environment)],
  ].map(([name, parts]) => [name as string, parts as (string | undefined)[]]);
  return rows.flatMap(([name, parts]) => {
    const text = parts.filter((part) => typeof part === "string" && part !== "").join(", ");
    return text === "" ? [] : [[name, text] as [string, string]];
  });
}

function machine(environment: RunDetails["environment"]): (string | undefined)[] {
  if (environment === null) return [];
  const { processor, addon, userLlm, node, git } = environment;
  return [
    processor?.model,
    typeof addon?.threads === "number" ? `${addon.threads} threads` : undefined,
    `user-llm ${userLlm}`,
    `Node ${node}`,
    typeof git?.commit === "string" ? `commit ${git.commit.slice(0, 8)}` : undefined,
  ];
}

const shortened = (fingerprint: unknown): string | undefined =>
  typeof fingerprint === "string" ? fingerprint.slice(0, 16) : undefined;

function localTime(iso: string): string {
  const time = new Date(iso);
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return Number.isNaN(time.getTime()) ? iso : local.toISOString().slice(0, 16).replace("T", " ");
}

/** The sections that say what was trained and how; a line each. */
function configRows({ config }: RunDetails): [string, string][] {
  if (config === null) return [];
  return Object.entries(config).flatMap(([name, value]) => {
    const parts = flat(name === "data" ? dataChoices(value) : value).map(([key, text]) =>
      key === "" ? text : `${key} ${text}`,
    );
    return parts.length === 0 ? [] : [[name, parts.join(", ")] as [string, string]];
  });
}

/** Of the data, how it is cut and fed; what it is stands above. */
function dataChoices(value: unknown): unknown {
  const { split, loader } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return { split, loader };
}

/** `{ a: { b: 1 } }` as `["a.b", "1"]`; the empty name is that of a plain value. */
function flat(value: unknown, name = ""): [string, string][] {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object")
    return [[name, typeof value === "number" ? String(value) : `${value}`]];
  if (Array.isArray(value) && value.every((part) => typeof part !== "object")) {
    return value.length === 0 ? [] : [[name, value.join(" ")]];
  }
  return Object.entries(value).flatMap(([key, part]) => {
    return flat(part, name === "" ? key : `${name}.${key}`);
  });
}

/** The training loss and the monitored metric, from the first to the last step. */
function curves(run: RunDetails, columns: number, colours: Colours): string {
  const metric = monitored(run);
  const all = [run.loss, metric === undefined ? null : validationCurve(run, metric)];
  const drawn = all.filter((curve): curve is Curve => curve !== null && curve.points.length > 1);
  const names = drawn.map(({ split, metric }) => visible(`${split} ${metric}`));
  const ends = drawn.map(({ points }) => {
    const [first, last] = [points[0]!, points.at(-1)!].map(({ value }) => measure(value));
    return `${first} → ${last}`;
  });
  const space = Math.max(...names.map(width));
  const room = Math.max(10, columns - space - Math.max(...ends.map(width)) - 6);
  return drawn
    .map(({ points }, i) => {
      const line = sparkline(
        points.map(({ value }) => value),
        Math.min(room, 60),
      );
      const padding = " ".repeat(space - width(names[i]!));
      return `  ${names[i]}${padding}  ${colours.cyan(line)}  ${ends[i]}\n`;
    })
    .join("");
}

/** The metric that the best checkpoint has, or else the first one that was validated. */
const monitored = ({ summary, validations }: RunDetails): string | undefined =>
  summary.best?.metric ?? Object.keys(validations.at(-1)?.values ?? {})[0];

/** Validations evenly over the run, with the best and the last; as many metrics as there is room for. */
function validationTable(run: RunDetails, columns: number): string {
  const { validations, summary } = run;
  if (validations.length === 0) return "";
  const best = validations.findIndex(({ step }) => step === summary.best?.step);
  const last = validations.length - 1;
  const spread = Math.min(validationsShown, validations.length) - 1;
  const even = Array.from({ length: spread + 1 }, (_, i) => Math.round((i * last) / (spread || 1)));
  const chosen = [...new Set([...even, ...(best < 0 ? [] : [best])])].sort((a, b) => a - b);
  const first = monitored(run);
  const names = Object.keys(validations.at(-1)!.values).filter((name) => name !== first);
  // Those at the same k are compared with it.
  const k = first?.split("@")[1];
  const isLike = (name: string) => name.split("@")[1] === k;
  names.sort((a, b) => Number(isLike(b)) - Number(isLike(a)));
  const metrics = first === undefined ? names : [first, ...names];
  const draw = (shown: readonly string[]): string => {
    const rows = chosen.map((at): Cell[] => {
      const { step, epoch, values } = validations[at]!;
      const cells = shown.map((name) => (values[name] === undefined ? "" : measure(values[name])));
      return [step, epoch.toFixed(1), ...cells, at === best ? "best" : ""];
    });
    return table(rows, { indent: "  ", header: ["step", "epoch", ...shown, ""] });
  };
  for (let shown = metrics.length; shown > 1; shown--) {
    const text = draw(metrics.slice(0, shown));
    if (text.split("\n").every((line) => width(line) <= columns)) return text;
  }
  return draw(metrics.slice(0, 1));
}

const resultRows = (run: RunDetails): [string, string][] =>
  flat(otherResults(run)).map(([name, text]) => {
    const number = Number(text);
    return [name, Number.isNaN(number) || Number.isInteger(number) ? text : measure(number)];
  });

const checkpointRow = ({
  name,
  bytes: size,
  latest,
  best,
}: RunDetails["checkpoints"][number]): Cell[] => [
  name,
  bytes(size),
  [latest && "latest", best && "best"].filter(Boolean).join(", "),
];
