/** Files of texts: which are meant, and the documents in them. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { documentParts } from "../../../src/data/texts/document-part.js";
import { type ReadPart, readDocuments } from "../../../src/data/texts/read-documents.js";
import { textFiles } from "../../../src/data/texts/text-files.js";
import { DataError } from "../../../src/errors.js";
import { gpt2 } from "../../../src/tokenizers/pipeline/pattern.js";

async function folderWith(
  t: ExecutionContext,
  files: Record<string, string | Buffer>,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-texts-"));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const elements: T[] = [];
  for await (const element of iterable) elements.push(element);
  return elements;
}

/** Documents put together from their parts. */
function joined(parts: readonly { text: string; last: boolean }[]): string[] {
  const documents: string[] = [];
  let begun = "";
  for (const { text, last } of parts) {
    begun += text;
    if (!last) continue;
    documents.push(begun);
    begun = "";
  }
  if (begun !== "") documents.push(`${begun} without an end`);
  return documents;
}

test("files, folders and patterns mean the files of texts, each once", async (t) => {
  const folder = await folderWith(t, {
    "b.txt": "",
    "a.txt.gz": "",
    "notes.md": "",
    "deep/er/c.jsonl": "",
    "deep/d.txt": "",
    "deep/e.ndjson.gz": "",
  });
  await symlink(folder, join(folder, "deep", "loop"));
  const found = async (...patterns: string[]) => {
    const files = await textFiles(patterns.map((pattern) => join(folder, pattern)));
    return files.map((file) => file.slice(folder.length + 1));
  };
  const everything = ["a.txt.gz", "b.txt", "deep/d.txt", "deep/e.ndjson.gz", "deep/er/c.jsonl"];
  t.deepEqual(await found(""), everything);
  t.deepEqual(await found("notes.md", "*.txt*"), ["notes.md", "a.txt.gz", "b.txt"]);
  t.deepEqual(await found("**/*.txt"), ["b.txt", "deep/d.txt"]);
  t.deepEqual(await found("d?ep/*/c.*", "deep"), [
    "deep/er/c.jsonl",
    "deep/d.txt",
    "deep/e.ndjson.gz",
  ]);
  t.deepEqual(await found("deep/**"), ["deep/d.txt", "deep/e.ndjson.gz", "deep/er/c.jsonl"]);
  for (const nothing of ["missing.txt", "*.csv", "missing/*.txt", "b.txt/*"])
    await t.throwsAsync(found(nothing), { instanceOf: DataError, message: /there is no/ });
});

test("documents of text files, JSON lines and gzip are numbered through", async (t) => {
  const folder = await folderWith(t, {
    "a.txt": "\ufeffOnce upon\n<end>\n\nThere was <end> \n <end>é",
    "b.jsonl": '{"text":"one","n":1}\n{"text":null}\n{"text":" two "}\n',
    "c.txt.gz": gzipSync("packed <end> twice"),
  });
  const parts = await all(readDocuments(await textFiles([folder]), { separator: "<end>" }));
  t.deepEqual(
    parts.map(({ index, text, last }: ReadPart) => [index, text, last]),
    ["Once upon", "There was", "é", "one", " two ", "packed", "twice"].map((text, i) => [
      i,
      text,
      true,
    ]),
  );
  const whole = await all(readDocuments([join(folder, "a.txt")]));
  t.deepEqual(joined(whole), ["Once upon\n<end>\n\nThere was <end> \n <end>é"]);
});

test("what is not text is refused", async (t) => {
  const folder = await folderWith(t, {
    "latin.txt": Buffer.from([0x63, 0x61, 0x66, 0xe9]),
    "field.jsonl": '{"title":"x"}\n',
    "broken.jsonl": '{"text":"x"}\n{"text":\n',
  });
  const read = (name: string) => all(readDocuments([join(folder, name)]));
  await t.throwsAsync(read("latin.txt"), {
    instanceOf: DataError,
    message: /latin.txt: is not UTF-8/,
  });
  await t.throwsAsync(read("field.jsonl"), { instanceOf: DataError, message: /text/ });
  await t.throwsAsync(read("broken.jsonl"), { instanceOf: DataError, message: /line 2/ });
  await t.throwsAsync(read("missing.txt"), { instanceOf: DataError });
});

test("long documents come in parts that no word lies across", async (t) => {
  const words = new RegExp(gpt2, "gu");
  const wordsOf = (text: string): string[] => text.match(words) ?? [];
  const unit = fc.constantFrom(
    "word",
    "it's",
    "1234",
    "...",
    "é日",
    "😀",
    " ",
    " ",
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    " '",
  );
  const piece = fc.array(unit, { minLength: 20, maxLength: 60 }).map((parts) => parts.join(""));
  await fc.assert(
    fc.asyncProperty(piece, fc.integer({ min: 1000, max: 70_000 }), async (piece, block) => {
      const text = piece.repeat(Math.ceil(100_000 / piece.length));
      const blocks = text.match(new RegExp(`[^]{1,${block}}`, "g"))!;
      const parts = await all(documentParts(blocks));
      t.deepEqual(joined(parts), [text]);
      t.deepEqual(
        parts.flatMap((part) => wordsOf(part.text)),
        wordsOf(text),
      );
      if (/\w \w/.test(piece))
        t.true(parts.length >= 3 && parts.every((part) => part.text.length < 40_000));
    }),
    { numRuns: 8 },
  );
});

test("blocks may break anywhere, in a separator too", async (t) => {
  const documents = [
    "one",
    "two two",
    "x".repeat(50_000),
    "many words ".repeat(6000).trim(),
    "end",
  ];
  const text = documents.join(" <|end|>\n");
  for (const length of [1000, 16_384, 1 << 20]) {
    const blocks = text.match(new RegExp(`[^]{1,${length}}`, "g"))!;
    t.deepEqual(joined(await all(documentParts(blocks, "<|end|>"))), documents, `${length}`);
  }
  t.deepEqual(joined(await all(documentParts(["a\n--", "-\nb"], "---"))), ["a", "b"]);
});

test("a word without an end is cut between characters", async (t) => {
  const text = `x${"😀".repeat(1 << 20)}`;
  const parts = await all(documentParts([text]));
  t.deepEqual(joined(parts), [text]);
  t.true(parts.length > 1);
  t.true(parts.every((part) => !/\p{Cs}/u.test(part.text)));
});
