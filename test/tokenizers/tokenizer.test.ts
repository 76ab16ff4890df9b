import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { UsageError } from "../../src/errors.js";
import { Tokenizer } from "../../src/tokenizers/index.js";
import { changedTokenizer, type Json, temporaryFolder } from "./folders.js";
import { goldenFolder } from "./goldens.js";
import { testModel } from "./real-model.js";

testModel("GPT-2's tokenizer", "gpt2-tokenizer", async (t, folder) => {
  const tokenizer = await Tokenizer.load(folder);
  t.is(tokenizer.vocabularySize, 50257);
  t.deepEqual(tokenizer.specials, { bos: 50256, eos: 50256, unk: 50256 });
  const text = "Once upon a time, there was a 👩‍👩‍👧 girl.\n\n  Größe 你好 don't 12345";
  const ids = tokenizer.encode(text);
  t.is(
    ids.join(" "),
    "7454 2402 257 640 11 612 373 257 50169 102 447 235 41840 102 447 235 41840 100 2576 13 628 " +
      "220 1902 9101 39683 68 220 19526 254 25001 121 836 470 17031 2231",
  );
  t.is(tokenizer.decode(ids), text);
  t.is(tokenizer.decode([...ids, 50256]), text);
  t.is(tokenizer.decode([...ids, 50256], { skipSpecialTokens: false }), `${text}<|endoftext|>`);
});

testModel("a tokenizer of SentencePiece", "tinystories-656k-hf", async (t, folder) => {
  const tokenizer = await Tokenizer.load(folder);
  t.deepEqual(tokenizer.specials, { bos: 1, eos: 2, pad: 0, unk: 0 });
  const ids = tokenizer.encode("Once upon a time, there was a girl.");
  t.is(tokenizer.token(ids[0]!), "<|start_story|>");
  t.is(tokenizer.decode(ids), "Once upon a time, there was a girl.");
  const stream = tokenizer.stream();
  const pieces = Array.from(ids, (id) => stream.push(id));
  t.is(pieces.join("") + stream.end(), "Once upon a time, there was a girl.");
});

test("saving writes the files as they came, byte for byte", async (t) => {
  const files = {
    "special_tokens_map.json": '{ "eos_token" :\t"<|im_end|>"}\r\n',
    "chat_template.jinja": "{{ 1 }}\n\n",
    "additional_chat_templates/rag.jinja": "größe",
  };
  const folder = await changedTokenizer(t, "qwen2", { files });
  const tokenizer = await Tokenizer.load(folder);
  const copy = join(await temporaryFolder(t), "new", "copy");
  await tokenizer.save(copy);
  await tokenizer.save(copy);
  const names = async (path: string): Promise<string[]> =>
    (await readdir(path, { recursive: true })).sort();
  t.deepEqual(await names(copy), await names(folder));
  for (const name of [...Object.keys(files), "tokenizer.json", "tokenizer_config.json"]) {
    t.deepEqual(await readFile(join(copy, name)), await readFile(join(folder, name)), name);
  }
  const other = await temporaryFolder(t);
  const signal = AbortSignal.abort(new Error("enough"));
  await t.throwsAsync(tokenizer.save(other, { signal }), { message: "enough" });
  t.deepEqual(await readdir(other), []);
});

test("special tokens come from special_tokens_map.json where tokenizer_config.json has none", async (t) => {
  const config = (file: Json): void => {
    for (const key of Object.keys(file)) delete file[key];
  };
  const files = {
    "special_tokens_map.json": JSON.stringify({
      eos_token: { content: "<|im_end|>" },
      bos_token: "<|endoftext|>",
    }),
  };
  const folder = await changedTokenizer(t, "qwen2", { config, files });
  t.deepEqual((await Tokenizer.load(folder)).specials, { bos: 380, eos: 382 });
});

test("a token that only the configuration calls special is one", async (t) => {
  const config = (file: Json): void => {
    file.additional_special_tokens = ["Ġthe"];
  };
  const tokenizer = await Tokenizer.load(await changedTokenizer(t, "gpt2", { config }));
  const id = tokenizer.id("Ġthe")!;
  t.deepEqual([...tokenizer.encode("Ġthe")], [id]);
  t.is(tokenizer.decode([id]), "");
});

test("loading can be aborted, and tells what it reads", async (t) => {
  const seen: string[] = [];
  await Tokenizer.load(`${goldenFolder}/gpt2`, { onProgress: ({ task }) => seen.push(task) });
  t.deepEqual(seen, ["reading tokenizer.json", "reading tokenizer_config.json"]);
  const signal = AbortSignal.abort(new Error("enough"));
  await t.throwsAsync(Tokenizer.load(`${goldenFolder}/gpt2`, { signal }), { message: "enough" });
});

test("what is no text, and ids that no token has", async (t) => {
  const tokenizer = await Tokenizer.load(`${goldenFolder}/gpt2`);
  t.throws(() => tokenizer.encode(3 as unknown as string), {
    instanceOf: UsageError,
    message: "Tokenizer.encode: expected a text, got number",
  });
  t.is(tokenizer.decode([1e9, -1, 0.5, Number.NaN]), "");
  t.is(tokenizer.token(1e9), undefined);
  t.is(tokenizer.id("no such token"), undefined);
  const lone = tokenizer.encode("a\uD83Db");
  t.is(tokenizer.decode(lone), "a\uFFFDb");
  for (const name of ["__proto__", "constructor", "toString"]) {
    t.is(tokenizer.id(name), undefined);
    t.is(tokenizer.decode(tokenizer.encode(name)), name);
  }
});

test("tokenizers that encode alike have one fingerprint, whatever their templates", async (t) => {
  const files = { "chat_template.jinja": "{{ 1 }}" };
  const [same, other] = await Promise.all([
    Tokenizer.load(await changedTokenizer(t, "gpt2", { files })),
    Tokenizer.load(`${goldenFolder}/llama3`),
  ]);
  const copy = await Tokenizer.load(await changedTokenizer(t, "gpt2", {}));
  t.is(await same.fingerprint(), await copy.fingerprint());
  t.not(await other.fingerprint(), await copy.fingerprint());
});
