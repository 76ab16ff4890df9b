import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { CheckpointError, UsageError } from "../../src/errors.js";
import { Tokenizer } from "../../src/tokenizers/index.js";
import { changedTokenizer, type Json, temporaryFolder } from "./folders.js";

type Change = (file: Json) => void;

const inTokenizer: [title: string, base: string, change: Change, message: RegExp][] = [
  ["no model", "gpt2", (file) => delete file.model, /it|"model"/],
  [
    "an unknown model",
    "gpt2",
    (file) => (file.model.type = "Magic"),
    /"model\.type" must be one of "BPE", .*got "Magic"/,
  ],
  [
    "a vocabulary as a list",
    "gpt2",
    (file) => (file.model.vocab = []),
    /"model\.vocab" must be an object/,
  ],
  [
    "an empty vocabulary",
    "gpt2",
    (file) => (file.model.vocab = {}),
    /"model\.vocab" must be at least one token/,
  ],
  [
    "an id twice",
    "gpt2",
    (file) => (file.model.vocab["!"] = 5),
    /"model\.vocab\..*" must be an id of its own/,
  ],
  [
    "a negative id",
    "gpt2",
    (file) => (file.model.vocab["!"] = -1),
    /"model\.vocab\.!" must be an id from 0 to/,
  ],
  [
    "a huge id",
    "gpt2",
    (file) => (file.model.vocab["!"] = 2 ** 40),
    /"model\.vocab\.!" must be an id from 0 to/,
  ],
  [
    "half an id",
    "gpt2",
    (file) => (file.model.vocab["!"] = 0.5),
    /"model\.vocab\.!" must be an id from 0 to/,
  ],
  [
    "a text as an id",
    "gpt2",
    (file) => (file.model.vocab["!"] = "1"),
    /"model\.vocab\.!" must be an id from 0 to/,
  ],
  [
    "no merges",
    "gpt2",
    (file) => delete file.model.merges,
    /"model\.merges" must be a list of merges/,
  ],
  [
    "a merge of one",
    "gpt2",
    (file) => (file.model.merges[3] = "Ġ"),
    /"model\.merges\[3\]" must be two tokens/,
  ],
  [
    "a merge of three",
    "gpt2",
    (file) => (file.model.merges[3] = "a b c"),
    /"model\.merges\[3\]" must be two tokens/,
  ],
  [
    "a merge of a number",
    "gpt2",
    (file) => (file.model.merges[3] = ["a", 1]),
    /"model\.merges\[3\]" must be two tokens/,
  ],
  [
    "a merge of an unknown token",
    "gpt2",
    (file) => (file.model.merges[3] = ["a", "zzz"]),
    /"model\.merges\[3\]" must be of tokens of the vocabulary, which has no "zzz"/,
  ],
  [
    "a merge into an unknown token",
    "gpt2",
    (file) => (file.model.merges[3] = ["z", "z"]),
    /"model\.merges\[3\]" must be of tokens of the vocabulary, which has no "zz"/,
  ],
  [
    "merges at random",
    "gpt2",
    (file) => (file.model.dropout = 0.1),
    /"model\.dropout" must be null/,
  ],
  [
    "marks within words",
    "gpt2",
    (file) => (file.model.continuing_subword_prefix = "##"),
    /"model\.continuing_subword_prefix" must be/,
  ],
  [
    "an unknown pre-tokenizer",
    "gpt2",
    (file) => (file.pre_tokenizer.type = "UnicodeScripts"),
    /"pre_tokenizer\.type" must be one of .*got "UnicodeScripts"/,
  ],
  [
    "an unknown normalizer",
    "qwen2",
    (file) => (file.normalizer.type = "Rot13"),
    /"normalizer\.type" must be one of .*got "Rot13"/,
  ],
  [
    "an unknown decoder",
    "gpt2",
    (file) => (file.decoder.type = "CTC"),
    /"decoder\.type" must be one of .*got "CTC"/,
  ],
  [
    "an unknown post-processor",
    "llama3",
    (file) => (file.post_processor.type = "X"),
    /"post_processor\.type" must be one of .*got "X"/,
  ],
  [
    "a template of an unknown token",
    "llama3",
    (file) => (file.post_processor.special_tokens = {}),
    /"post_processor\.special_tokens\.<\|begin_of_text\|>" must be an object/,
  ],
  [
    "a template of ids out of the vocabulary",
    "llama3",
    (file) => (file.post_processor.special_tokens["<|begin_of_text|>"].ids = [9e6]),
    /ids\[0\]" must be a whole number from 0 to/,
  ],
  [
    "a template with the text twice",
    "llama3",
    (file) => file.post_processor.single.push(file.post_processor.single[1]),
    /"post_processor\.single\[2\]" must be the text itself, once/,
  ],
  [
    "a pattern that is none",
    "llama3",
    (file) => (file.pre_tokenizer.pretokenizers[0].pattern = { Regex: "(" }),
    /"pre_tokenizer\.pretokenizers\[0\]\.pattern\.Regex" must be a regular expression/,
  ],
  [
    "a possessive pattern",
    "llama3",
    (file) => (file.pre_tokenizer.pretokenizers[0].pattern = { Regex: "a++b" }),
    /"pre_tokenizer\.pretokenizers\[0\]\.pattern\.Regex" must be .* without possessive/,
  ],
  [
    "an atomic pattern",
    "llama3",
    (file) => (file.pre_tokenizer.pretokenizers[0].pattern = { Regex: "(?>a)" }),
    /without possessive or atomic parts/,
  ],
  [
    "a pattern with modes",
    "llama3",
    (file) => (file.pre_tokenizer.pretokenizers[0].pattern = { Regex: "(?m:.)" }),
    /without possessive or atomic parts, \\G and modes/,
  ],
  [
    "an unknown way to split",
    "llama3",
    (file) => (file.pre_tokenizer.pretokenizers[0].behavior = "Twice"),
    /"pre_tokenizer\.pretokenizers\[0\]\.behavior" must be one of/,
  ],
  [
    "an added token without a text",
    "gpt2",
    (file) => delete file.added_tokens[0].content,
    /"added_tokens\[0\]\.content" must be a text/,
  ],
  [
    "an added token with another's id",
    "gpt2",
    (file) => (file.added_tokens[0].id = 7),
    /"added_tokens\[0\]\.id" must be 380, the next free id/,
  ],
  [
    "an added token far away",
    "gpt2",
    (file) => (file.added_tokens[0].id = 2 ** 30),
    /"added_tokens\[0\]\.id" must be 380, the next free id/,
  ],
  [
    "added tokens as an object",
    "gpt2",
    (file) => (file.added_tokens = {}),
    /"added_tokens" must be a list/,
  ],
  [
    "a score that is none",
    "unigram",
    (file) => (file.model.vocab[7] = ["x", "y"]),
    /"model\.vocab\[7\]" must be a token and its score/,
  ],
  [
    "a piece twice",
    "unigram",
    (file) => (file.model.vocab[7] = [...file.model.vocab[8]]),
    /"model\.vocab\[8\]" must be 7, the id of this token/,
  ],
  [
    "no unknown piece",
    "unigram",
    (file) => (file.model.unk_id = 1e6),
    /"model\.unk_id" must be an id of the vocabulary/,
  ],
  [
    "a table of characters cut short",
    "unigram",
    (file) => (file.normalizer.normalizers[0].precompiled_charsmap = "AAAA"),
    /precompiled_charsmap" must be a compiled table/,
  ],
  [
    "no unknown word",
    "word-piece",
    (file) => delete file.model.unk_token,
    /"model\.unk_token" must be a text/,
  ],
];

for (const [title, base, tokenizer, message] of inTokenizer) {
  test(`tokenizer.json is refused: ${title}`, async (t) => {
    const folder = await changedTokenizer(t, base, { tokenizer });
    const error = await t.throwsAsync(Tokenizer.load(folder), {
      instanceOf: CheckpointError,
      message,
    });
    t.true(error?.message.startsWith(`${join(folder, "tokenizer.json")}: `), error?.message);
    t.true(error!.message.length < 700);
  });
}

const inConfig: [title: string, change: Change, message: RegExp][] = [
  [
    "a token that is none",
    (file) => (file.eos_token = "<none>"),
    /"eos_token" must be a token of tokenizer\.json, got "<none>"/,
  ],
  ["a number for a token", (file) => (file.eos_token = 3), /"eos_token" must be an object/],
  [
    "a special token that is none",
    (file) => (file.additional_special_tokens = ["<none>"]),
    /"additional_special_tokens\[0\]" must be a token of tokenizer\.json/,
  ],
  [
    "an added token with a free id",
    (file) => (file.added_tokens_decoder = { 999: { content: "<new>" } }),
    /"added_tokens_decoder\.999" must be 381, the next free id/,
  ],
  [
    "a template that is a number",
    (file) => (file.chat_template = 3),
    /"chat_template" must be a text/,
  ],
  [
    "a template without a name",
    (file) => (file.chat_template = [{ template: "" }]),
    /"chat_template\[0\]\.name" must be a text/,
  ],
];

for (const [title, config, message] of inConfig) {
  test(`tokenizer_config.json is refused: ${title}`, async (t) => {
    const folder = await changedTokenizer(t, "gpt2", { config });
    const error = await t.throwsAsync(Tokenizer.load(folder), {
      instanceOf: CheckpointError,
      message,
    });
    t.true(error?.message.startsWith(`${join(folder, "tokenizer_config.json")}: `), error?.message);
  });
}

const asText: [title: string, text: string | Uint8Array, message: RegExp][] = [
  ["no JSON", "{", /tokenizer\.json: not JSON/],
  ["nothing", "", /tokenizer\.json: not JSON/],
  ["null", "null", /tokenizer\.json: it must hold an object, got null/],
  ["a list", "[]", /tokenizer\.json: it must hold an object/],
  [
    "a pointer of Git LFS",
    "version https://git-lfs.github.com/spec/v1\noid sha256:0",
    /git lfs pull/,
  ],
  ["no UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d), /tokenizer\.json: not UTF-8/],
];

for (const [title, text, message] of asText) {
  test(`tokenizer.json is refused: ${title}, as a file`, async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, "tokenizer.json"), text);
    await t.throwsAsync(Tokenizer.load(folder), { instanceOf: CheckpointError, message });
  });
}

test("tokenizer.json is refused: pre-tokenizers in each other", async (t) => {
  const depth = 20_000;
  const begin = '{"type":"Sequence","pretokenizers":['.repeat(depth);
  const text = `{"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"},"pre_tokenizer":${begin}${"]}".repeat(depth)}}`;
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "tokenizer.json"), text);
  await t.throwsAsync(Tokenizer.load(folder), {
    instanceOf: CheckpointError,
    message: /too deeply/,
  });
});

test("a folder without a tokenizer says so", async (t) => {
  const folder = await temporaryFolder(t);
  const message = `${folder}: has no tokenizer.json`;
  await t.throwsAsync(Tokenizer.load(folder), { instanceOf: CheckpointError, message });
});

/** The expression takes 2^n steps on n letters a. */
const catastrophe: Change = (file) => {
  file.pre_tokenizer.pretokenizers[0].pattern = { Regex: "(a+)+b" };
};

test("a pattern that backtracks ends with the time limit, and what comes after is unharmed", async (t) => {
  const folder = await changedTokenizer(t, "llama3", { tokenizer: catastrophe });
  const tokenizer = await Tokenizer.load(folder, { timeLimitMs: 500 });
  const ids = tokenizer.encode("aab and aaab");
  const start = performance.now();
  t.throws(() => tokenizer.encode("a".repeat(60)), {
    instanceOf: UsageError,
    message: "Tokenizer.encode: not done after 500 ms, the time limit",
  });
  t.true(performance.now() - start < 5000);
  t.deepEqual(tokenizer.encode("aab and aaab"), ids);
});

test("a pattern of the decoder that backtracks ends with the time limit", async (t) => {
  const folder = await changedTokenizer(t, "llama2", {
    tokenizer: (file) => {
      file.decoder = { type: "Replace", pattern: { Regex: "(a+)+b" }, content: "" };
      file.model.vocab["a".repeat(60)] = Object.keys(file.model.vocab).length;
    },
  });
  const tokenizer = await Tokenizer.load(folder, { timeLimitMs: 500 });
  const message = /not done after 500 ms/;
  const id = tokenizer.id("a".repeat(60))!;
  t.throws(() => tokenizer.decode([id]), { instanceOf: UsageError, message });
  t.throws(() => tokenizer.stream().push(id), { instanceOf: UsageError, message });
});

test("an added token's text is normalised within the time limit", async (t) => {
  const folder = await changedTokenizer(t, "qwen2", {
    tokenizer: (file) => {
      file.normalizer = { type: "Replace", pattern: { Regex: "(a+)+b" }, content: "" };
      file.added_tokens.push({ id: 385, content: "a".repeat(60), normalized: true });
    },
  });
  await t.throwsAsync(Tokenizer.load(folder, { timeLimitMs: 500 }), {
    message: /not done after 500 ms/,
  });
});

test("a normaliser that makes texts longer and longer ends in an error", async (t) => {
  const step = { type: "Replace", pattern: { String: "a" }, content: "a".repeat(1000) };
  const tokenizer = await Tokenizer.load(
    await changedTokenizer(t, "qwen2", {
      tokenizer: (file) => {
        file.normalizer = { type: "Sequence", normalizers: Array(20).fill(step) };
      },
    }),
  );
  t.is(tokenizer.encode("b").length, 1);
  const before = process.memoryUsage.rss();
  t.throws(() => tokenizer.encode("a"), {
    instanceOf: UsageError,
    message: /grows to more than|too long/,
  });
  t.true(process.memoryUsage.rss() - before < 1e9);
});

test("a table of characters with endless replacements is refused", async (t) => {
  const table = Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.alloc(5000, "b")]);
  const folder = await changedTokenizer(t, "unigram", {
    tokenizer: (file) => {
      file.normalizer.normalizers[0].precompiled_charsmap = table.toString("base64");
    },
  });
  await t.throwsAsync(Tokenizer.load(folder), {
    instanceOf: CheckpointError,
    message: /precompiled_charsmap" must be a table of replacements of at most 1000 bytes/,
  });
});

for (const timeLimitMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`a time limit of ${timeLimitMs} is refused`, async (t) => {
    await t.throwsAsync(Tokenizer.load("anywhere", { timeLimitMs }), {
      instanceOf: UsageError,
      message: /timeLimitMs must be/,
    });
  });
}
