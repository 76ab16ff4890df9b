import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { tableFromIPC } from "apache-arrow";
import test from "ava";
import { DataError, UsageError } from "../../src/errors.js";
import type { Progress } from "../../src/progress.js";
import { type EncodeTextsOptions, encodeTexts, Tokenizer } from "../../src/tokenizers/index.js";
import { temporaryFolder } from "./folders.js";
import { goldenFolder } from "./goldens.js";

const texts = ["Once upon a time", "", "Größe 电影 👍", "x".repeat(500), "the end"];

/** A tokenizer that counts what it encodes. */
async function counting(name = "gpt2"): Promise<{ tokenizer: Tokenizer; encoded: () => number }> {
  const tokenizer = await Tokenizer.load(`${goldenFolder}/${name}`);
  const encode = tokenizer.encode.bind(tokenizer);
  let encoded = 0;
  tokenizer.encode = (text, options) => {
    encoded++;
    return encode(text, options);
  };
  return { tokenizer, encoded: () => encoded };
}

test("texts are encoded once, and then taken from the cache", async (t) => {
  const cache = join(await temporaryFolder(t), "a", "cache");
  const { tokenizer, encoded } = await counting("llama3");
  const seen: Progress[] = [];
  const onProgress = (progress: Progress): void => void seen.push(progress);
  using first = await encodeTexts(texts, { tokenizer, cache, onProgress });
  t.is(encoded(), texts.length);
  t.deepEqual(seen.at(-1), { task: "encoding texts", done: 5, total: 5, unit: "rows" });
  using second = await encodeTexts(texts, { tokenizer, cache });
  t.is(encoded(), texts.length);
  for (const tokens of [first, second]) {
    t.is(tokens.length, texts.length);
    texts.forEach((text, i) => t.deepEqual(tokens.ids(i), tokenizer.encode(text)));
    t.is(
      tokens.tokens,
      texts.reduce((sum, text) => sum + tokenizer.encode(text).length, 0),
    );
  }
});

test("the cache is an Arrow file of lists", async (t) => {
  const cache = await temporaryFolder(t);
  const { tokenizer } = await counting();
  using tokens = await encodeTexts(texts, { tokenizer, cache });
  const [name = ""] = await readdir(cache);
  t.regex(name, /^[0-9a-f]{64}\.arrow$/);
  const table = tableFromIPC(await readFile(join(cache, name)));
  const lists = Array.from(table.getChild("ids")!, (list) => [...(list as Iterable<number>)]);
  t.deepEqual(
    lists,
    texts.map((_, i) => [...tokens.ids(i)]),
  );
});

test("other texts, options and tokenizers have entries of their own", async (t) => {
  const cache = await temporaryFolder(t);
  const { tokenizer } = await counting("llama3");
  const other = (await counting("gpt2")).tokenizer;
  const calls: [string[], Partial<EncodeTextsOptions>][] = [
    [texts, {}],
    [texts, { specialTokens: false }],
    [texts, { tokenizer: other }],
    [["ab", "c"], {}],
    [["a", "bc"], {}],
    [["a", "bc", ""], {}],
    [[], {}],
  ];
  for (const [given, options] of calls) {
    using tokens = await encodeTexts(given, { tokenizer, cache, ...options });
    const encode = (text: string) => (options.tokenizer ?? tokenizer).encode(text, options);
    t.deepEqual(
      given.map((_, i) => tokens.ids(i)),
      given.map(encode),
    );
  }
  t.is((await readdir(cache)).length, 2 * calls.length);
});

async function* asynchronous(): AsyncGenerator<string> {
  for (const text of texts) {
    await setImmediate();
    yield text;
  }
}

test("texts may come from a function that begins anew", async (t) => {
  const cache = await temporaryFolder(t);
  const { tokenizer } = await counting();
  using tokens = await encodeTexts(asynchronous, { tokenizer, cache });
  using same = await encodeTexts(new Set(texts), { tokenizer, cache });
  t.deepEqual([tokens.length, same.length], [5, 5]);
  t.is((await readdir(cache)).length, 2);
});

test("texts that can be read only once are refused", async (t) => {
  const cache = await temporaryFolder(t);
  const { tokenizer } = await counting();
  await t.throwsAsync(encodeTexts(asynchronous(), { tokenizer, cache }), {
    instanceOf: UsageError,
    message: /can be read only once/,
  });
  await t.throwsAsync(encodeTexts("one text", { tokenizer, cache }), { message: /got one$/ });
  const numbers = [1, 2] as unknown as string[];
  await t.throwsAsync(encodeTexts(numbers, { tokenizer, cache }), { message: /text 0 is no text/ });
  const once = asynchronous();
  await t.throwsAsync(
    encodeTexts(() => once, { tokenizer, cache }),
    {
      instanceOf: DataError,
      message: /others when they were read again/,
    },
  );
  t.deepEqual(await readdir(cache), []);
});

const damages: [title: string, damage: (entry: string) => Promise<void>][] = [
  ["a changed byte", (entry) => flipByte(`${entry}.arrow`)],
  ["a file cut short", (entry) => truncate(`${entry}.arrow`, 100)],
  ["an empty file", (entry) => truncate(`${entry}.arrow`, 0)],
  ["a card that is none", (entry) => writeFile(`${entry}.json`, "{")],
  ["a card of something else", (entry) => writeFile(`${entry}.json`, "{}")],
];

async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(path, bytes);
}

for (const [title, damage] of damages) {
  test(`a damaged entry is made anew: ${title}`, async (t) => {
    const cache = await temporaryFolder(t);
    const { tokenizer, encoded } = await counting();
    (await encodeTexts(texts, { tokenizer, cache })).close();
    const names = await readdir(cache);
    await damage(join(cache, names[0]!.replace(".arrow", "")));
    using tokens = await encodeTexts(texts, { tokenizer, cache });
    t.is(encoded(), 2 * texts.length);
    texts.forEach((text, i) => t.deepEqual(tokens.ids(i), tokenizer.encode(text)));
    t.deepEqual(await readdir(cache), names);
  });
}

test("aborting leaves nothing, before and in the middle", async (t) => {
  const cache = await temporaryFolder(t);
  const { tokenizer } = await counting();
  const reason = new Error("enough");
  const before = AbortSignal.abort(reason);
  await t.throwsAsync(encodeTexts(texts, { tokenizer, cache, signal: before }), { is: reason });
  const controller = new AbortController();
  const many = Array.from({ length: 20_000 }, (_, i) => `text ${i} of many, which take a while`);
  const onProgress = ({ task }: Progress): void => {
    if (task === "encoding texts") controller.abort(reason);
  };
  const { signal } = controller;
  await t.throwsAsync(encodeTexts(many, { tokenizer, cache, signal, onProgress }), { is: reason });
  t.deepEqual(await readdir(cache), []);
});

test("what a killed process left goes with the next entry", async (t) => {
  const cache = await temporaryFolder(t);
  const { tokenizer } = await counting();
  const { pid } = spawnSync(process.execPath, ["--version"]);
  const mark = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
  await mkdir(join(cache, `.tokens.partial-${mark}-${pid}-0123abcd`));
  (await encodeTexts(texts, { tokenizer, cache })).close();
  t.is((await readdir(cache)).length, 2);
});

test("several calls at once share an entry", async (t) => {
  const cache = await temporaryFolder(t);
  const { tokenizer } = await counting();
  const all = await Promise.all(
    Array.from({ length: 4 }, () => encodeTexts(texts, { tokenizer, cache })),
  );
  for (const tokens of all) {
    t.deepEqual(tokens.ids(0), tokenizer.encode(texts[0]!));
    tokens.close();
  }
  t.is((await readdir(cache)).length, 2);
});

test("a text that is not there, and a closed file, are errors", async (t) => {
  const { tokenizer } = await counting();
  const tokens = await encodeTexts(texts, { tokenizer, cache: await temporaryFolder(t) });
  for (const i of [-1, 5, 0.5]) {
    t.throws(() => tokens.ids(i), { instanceOf: UsageError, message: /has texts 0 to 4, got/ });
  }
  tokens.close();
  tokens.close();
  t.throws(() => tokens.ids(0), { instanceOf: UsageError, message: /is closed/ });
});

test("many texts leave the event loop to others", async (t) => {
  const { tokenizer } = await counting();
  const many = Array.from({ length: 3000 }, (_, i) => `${texts.join(" ")} ${i}`);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const seen: number[] = [];
  const encoded = await tokenizer.encodeBatch(many, { onProgress: ({ done }) => seen.push(done) });
  clearInterval(timer);
  t.true(ticks > 2 && seen.length > 2);
  t.deepEqual(encoded[7], tokenizer.encode(many[7]!));
  const signal = AbortSignal.abort(new Error("enough"));
  await t.throwsAsync(tokenizer.encodeBatch(many, { signal }), { message: "enough" });
});
