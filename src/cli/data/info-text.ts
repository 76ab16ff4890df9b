import type { DataInfo, FeatureInfo } from "../../data/inspect/info.js";
import type { Colours } from "../colour.js";
import { type Cell, table } from "../table.js";
import { bytes, count, visible } from "../text.js";

/** What `data info` shows of a data set. */
export function describeInfo(info: DataInfo, colours: Colours): string {
  const section = (title: string, rows: readonly (readonly Cell[])[], header?: string[]): string =>
    `\n${colours.bold(title)}\n${table(rows, { indent: "  ", header })}`;
  const { source, counts, histories, popularity, features, windows, dropped, disk } = info;
  const perUser = distributionRow("events of a user", histories.lengths);
  const perItem = distributionRow("events of an item", popularity.eventsPerItem);
  const withValues = features.filter(({ top }) => top.length > 0);
  return [
    `${colours.bold(visible(source.title))}\n`,
    table(
      [
        ["licence", source.licence ?? "not stated"],
        ["data", `${info.fingerprint.slice(0, 16)}, ${bytes(disk.bytes)}`],
      ],
      { indent: "  " },
    ),
    section("Counts", [
      ["events", counts.events],
      ["users", counts.users],
      ["items", counts.items],
      ["items without events", counts.itemsWithoutEvents],
      ["items that the table of items lacks", counts.itemsWithoutMetadata],
      ["repeated rows of items", counts.repeatedItems],
      ["events whose user had the item before", info.repeats.events],
    ]),
    section(
      "Histories and popularity",
      [perUser, perItem],
      ["", "min", "median", "mean", "90 %", "max"],
    ),
    table(
      [
        ["density", share(info.density)],
        ["events of the top 1 % of items", share(popularity.top1Percent)],
        ["events of the top 10 % of items", share(popularity.top10Percent)],
        ["Gini coefficient", popularity.gini.toFixed(3)],
      ],
      { indent: "  " },
    ),
    section("Clock", clockRows(info)),
    section(
      `Windows of ${windows.length} events, leave-last-out without validation`,
      [
        ["full", windows.full.train, windows.full.test],
        ["padded", windows.padded.train, windows.padded.test],
      ],
      ["", "train", "test"],
    ),
    section("Titles", [
      ["items without", info.titles.missing],
      ["titles of several items", info.titles.shared],
      ["items that share a title", info.titles.itemsSharing],
      ["titles alike but for case and spaces", info.titles.alike],
      ["titles that another begins with", info.titles.prefixes],
    ]),
    features.length === 0
      ? ""
      : section("Features", features.map(featureRow), [
          "",
          "kind",
          "of",
          "values",
          "missing",
          "longest",
        ]),
    withValues.length === 0 ? "" : section("Most frequent values", withValues.map(topRow)),
    scriptRows(info).length === 0 ? "" : section("Scripts", scriptRows(info)),
    dropped.length === 0
      ? ""
      : section(
          "Left out",
          dropped.map(({ rule, rows, first }) => [rows, rule, first]),
        ),
  ].join("");
}

const share = (value: number): string =>
  `${(value * 100).toPrecision(value !== 0 && value < 0.01 ? 2 : 3)} %`;

function distributionRow(name: string, distribution: DataInfo["histories"]["lengths"]): Cell[] {
  if (distribution === null) return [name];
  const { min, median, mean, p90, max } = distribution;
  return [name, min, median, mean.toFixed(1), p90, max];
}

function clockRows({ clock }: DataInfo): Cell[][] {
  const tied = (events: number, part: number): string => `${count(events)} (${share(part)})`;
  const span =
    clock.from === null
      ? []
      : [
          ["from", clock.from],
          ["to", clock.to ?? ""],
        ];
  return [
    ["kind", clock.kind],
    ...span,
    ["tied events", tied(clock.tiedEvents, clock.tiedEventsShare)],
    ["users whose last event is tied", tied(clock.usersWithTiedLast, clock.usersWithTiedLastShare)],
  ];
}

const featureRow = ({ name, kind, of, size, missing, longest }: FeatureInfo): Cell[] => [
  name,
  kind,
  of,
  kind === "text" ? undefined : size,
  missing,
  longest,
];

const topRow = ({ name, top }: FeatureInfo): Cell[] => [
  name,
  top
    .slice(0, 5)
    .map(({ value, events }) => `${value} ${count(events)}`)
    .join(", "),
];

/** The letters of titles and texts, where there are any. */
function scriptRows({ titleTexts, features }: DataInfo): Cell[][] {
  const texts = [
    { name: "titles", text: titleTexts },
    ...features.flatMap(({ name, text }) => (text === null ? [] : [{ name, text }])),
  ];
  return texts.flatMap(({ name, text: { scripts } }) => {
    const letters = Object.values(scripts).reduce((sum, value) => sum + value, 0);
    if (letters === 0) return [];
    const named = Object.entries(scripts).slice(0, 5);
    return [
      [name, named.map(([script, value]) => `${script} ${share(value / letters)}`).join(", ")],
    ];
  });
}
