/** Configuration files: what is read, what is refused, and where the message points. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { parseConfig, readConfigFile } from "../../src/config/index.js";
import { ConfigError } from "../../src/errors.js";

const read: [string, string, object][] = [
  ["YAML 1.2", "a: 1e-4\nb: on\nc: 012\nd: ~\n", { a: 1e-4, b: "on", c: 12, d: null }],
  ["JSON", '{"a": {"b": [1, "x"]}}', { a: { b: [1, "x"] } }],
  ["an empty file", "", {}],
  ["a comment", "# nothing\n", {}],
  ["a byte order mark", "\ufeffa: 1\n", { a: 1 }],
  ["aliases", "a: &x {b: 1}\nc: *x\n", { a: { b: 1 }, c: { b: 1 } }],
];
for (const [name, text, value] of read)
  test(`${name} is read`, (t) => t.deepEqual(parseConfig(text, "cfg.yaml").value, value));

const bomb = [
  "a0: &a0 [x, x, x, x, x, x, x, x, x]",
  ...Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`),
].join("\n");

const refused: [string, string, RegExp][] = [
  [
    "a key that comes twice",
    "a: 1\nb:\n  c: 1\n  c: 2\n",
    /^cfg\.yaml, line 4, column 3: .*unique/,
  ],
  ["bad syntax", "a: 1\nb: [1, 2\n", /^cfg\.yaml, line \d, column \d+: /],
  ["a tab", "a:\n\tb: 1\n", /^cfg\.yaml, line 2, column 1: .*[Tt]ab/],
  ["two documents", "a: 1\n---\nb: 1\n", /^cfg\.yaml, line 2, column 1: .*multiple documents/],
  ["a list", "- a\n", /^cfg\.yaml: expected a mapping of options$/],
  ["a text", "hello\n", /^cfg\.yaml: expected a mapping of options$/],
  [
    "__proto__",
    "a:\n  __proto__: {x: 1}\n",
    /^cfg\.yaml, line 2, column 3: "__proto__" is not allowed/,
  ],
  [
    "constructor",
    "a: [{constructor: 1}]\n",
    /^cfg\.yaml, line 1, column 6: "constructor" is not allowed/,
  ],
  ["prototype", '{"prototype": 1}', /^cfg\.yaml, line 1, column 2: "prototype" is not allowed/],
  ["merge keys", "a: &x {b: 1}\nc:\n  <<: *x\n", /^cfg\.yaml, line 3, column 3: merge keys/],
  ["keys that are numbers", "1: x\n", /^cfg\.yaml, line 1, column 1: keys are texts$/],
  ["keys that are lists", "? [a]\n: x\n", /^cfg\.yaml, line 1, column 3: keys are texts$/],
  ["keys that are aliases", "a: &x b\n*x : 1\n", /^cfg\.yaml, line 2, column 1: keys are texts$/],
  ["tags", "a: !!js/function 'x'\n", /^cfg\.yaml, line 1, column 4: .*tag/],
  ["a bomb of aliases", bomb, /^cfg\.yaml: too many aliases/],
  ["brackets without end", `a: ${"[".repeat(500_000)}`, /^cfg\.yaml: is nested too deeply/],
  ["dashes without end", "- ".repeat(10_000), /^cfg\.yaml: is nested too deeply/],
  ["keys within keys", "? ".repeat(10_000), /^cfg\.yaml: is nested too deeply/],
  ["steps without end", steps(900), /^cfg\.yaml: is nested too deeply/],
];
for (const [name, text, message] of refused)
  test(`${name} is refused`, (t) => {
    const error = t.throws(() => parseConfig(text, "cfg.yaml"), { instanceOf: ConfigError });
    t.regex(error!.message, message);
    t.false(error!.message.includes("\n"));
  });

test("positions are of the value, or of the key of what takes several lines", (t) => {
  const text = "a:\n  b: 1\n  c:\n    - x\n    - y: 2\n  d: {e: 5}\nf: &x {g: 1}\nh: *x\n";
  const { where } = parseConfig(text, "cfg.yaml");
  const place = (line: number, column: number) => `cfg.yaml, line ${line}, column ${column}`;
  t.is(where(["a"]), place(1, 1));
  t.is(where(["a", "b"]), place(2, 6));
  t.is(where(["a", "c", 1]), place(5, 7));
  t.is(where(["a", "c", 1, "y"]), place(5, 10));
  t.is(where(["a", "d", "e"]), place(6, 10));
  t.is(where(["h", "g"]), place(7, 11));
  t.is(where(["a", "d", "missing"]), place(6, 6));
});

test("files that cannot be read are refused by name", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-config-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const cases: [string, Buffer | undefined, RegExp][] = [
    ["missing.yaml", undefined, /missing\.yaml: cannot be read \(ENOENT\)$/],
    ["latin.yaml", Buffer.from("a: \xe9", "latin1"), /latin\.yaml: is not UTF-8$/],
    [
      "large.yaml",
      Buffer.alloc(1_000_001, 35),
      /large\.yaml: a configuration has at most 1000000 bytes/,
    ],
  ];
  for (const [name, bytes, message] of cases) {
    const file = join(folder, name);
    if (bytes !== undefined) await writeFile(file, bytes);
    await t.throwsAsync(readConfigFile(file), { instanceOf: ConfigError, message });
  }
  await t.throwsAsync(readConfigFile(folder), { message: /cannot be read \(EISDIR\)$/ });
  if (process.platform !== "win32") {
    // It has a size of 0 and never ends.
    await t.throwsAsync(readConfigFile("/dev/zero"), {
      message: /at most 1000000 bytes, got more/,
    });
  }
});

function steps(depth: number): string {
  return Array.from({ length: depth }, (_, i) => `${" ".repeat(i)}a:\n`).join("");
}
