/** Model folders that are damaged, lie or mean harm: each is one clear error, takes no memory, and leaves nothing behind. */
import { cp, mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { CheckpointError, UserLlmError } from "../../../src/errors.js";
import {
  ConfigReader,
  Decoder,
  llmFamilies,
  loadDecoder,
  saveCheckpoint,
  storedParameters,
} from "../../../src/models/index.js";
import { memory } from "../../../src/tensor/index.js";

const config = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 32,
  rope_theta: 10_000,
};
const index = "model.safetensors.index.json";
const shard = (number: number, of: number): string =>
  `model-0000${number}-of-0000${of}.safetensors`;

let whole = "";
let sharded = "";
let root = "";
let before = 0;
test.before(async () => {
  root = await mkdtemp(join(tmpdir(), "user-llm-malformed-"));
  whole = join(root, "whole");
  sharded = join(root, "sharded");
  const family = llmFamilies.find(({ modelType }) => modelType === "llama")!;
  using decoder = new Decoder(family.options(new ConfigReader(config)));
  const tensors = Object.fromEntries(
    storedParameters(decoder, family).map(({ name, parameter }) => [name, parameter.value]),
  );
  await saveCheckpoint(whole, tensors);
  await saveCheckpoint(sharded, tensors, { shardBytes: 2000 });
  for (const folder of [whole, sharded])
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
});
test.after.always(() => rm(root, { recursive: true }));
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

let copies = 0;
async function copyOf(folder: string): Promise<string> {
  const copy = join(root, `copy-${copies++}`);
  await cp(folder, copy, { recursive: true });
  return copy;
}

/** Changes the header of a file; the data stays. */
async function editHeader(
  path: string,
  change: (
    header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>,
  ) => void,
): Promise<void> {
  const file = await readFile(path);
  const end = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString("utf8", 8, end));
  change(header);
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(path, Buffer.concat([length, text, file.subarray(end)]));
}

async function editIndex(
  folder: string,
  change: (map: Record<string, string>) => void,
): Promise<void> {
  const path = join(folder, index);
  const json = JSON.parse(await readFile(path, "utf8"));
  change(json.weight_map);
  await writeFile(path, JSON.stringify(json));
}

const editConfig = (folder: string, change: object): Promise<void> =>
  writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));

const norm = "model.norm.weight";
const weights = "model.safetensors";

/** What is done to a folder, and the error that it makes, less the folder's path. */
const faults: [
  title: string,
  of: "whole" | "sharded",
  damage: (folder: string) => Promise<void>,
  message: RegExp,
][] = [
  [
    "a tensor of another shape",
    "whole",
    (folder) => editHeader(join(folder, weights), (header) => (header[norm]!.shape = [2, 4])),
    /^model\.safetensors: model\.norm\.weight is \[2, 4\], the model needs \[8\]$/,
  ],
  [
    "a configuration for other shapes",
    "whole",
    (folder) => editConfig(folder, { vocab_size: 12 }),
    /^model\.safetensors: \S+ is \[11, 8\], the model needs \[12, 8\]; 2 tensors have another shape$/,
  ],
  [
    "a missing tensor and one too many",
    "whole",
    (folder) =>
      editHeader(join(folder, weights), (header) => {
        header.x = header[norm]!;
        delete header[norm];
      }),
    /^tensors are missing: model\.norm\.weight; not part of the model: x$/,
  ],
  [
    "a missing shard",
    "sharded",
    (folder) => rm(join(folder, shard(2, 3))),
    /^model-00002-of-00003\.safetensors: cannot be read: ENOENT/,
  ],
  [
    "an empty file",
    "whole",
    (folder) => writeFile(join(folder, weights), ""),
    /^model\.safetensors: header: the file has 0 bytes, must have at least 8$/,
  ],
  [
    "a file cut off in its header",
    "whole",
    (folder) => truncate(join(folder, weights), 500),
    /^model\.safetensors: header: its length is \d+, must be at most 492 \(the file has 500 bytes\)$/,
  ],
  [
    "a file cut off in its data",
    "whole",
    (folder) => truncate(join(folder, weights), 5000),
    /^model\.safetensors: \S+: data_offsets \[\d+, \d+\] must be in order and inside the \d+ bytes of data$/,
  ],
  [
    "a shard cut off",
    "sharded",
    (folder) => truncate(join(folder, shard(1, 3)), 2000),
    /^model-00001-of-00003\.safetensors: \S+: data_offsets/,
  ],
  [
    "a dtype that is not that of the bytes",
    "whole",
    (folder) => editHeader(join(folder, weights), (header) => (header[norm]!.dtype = "BF16")),
    /^model\.safetensors: model\.norm\.weight: data_offsets \[\d+, \d+\] hold 32 bytes, but BF16 \[8\] takes 16$/,
  ],
  [
    "whole numbers as weights",
    "whole",
    (folder) => editHeader(join(folder, weights), (header) => (header[norm]!.dtype = "I32")),
    /^model\.safetensors: model\.norm\.weight: I32 is not floating point; quantised weights are not supported$/,
  ],
  [
    "eight-bit floating point",
    "whole",
    (folder) => editHeader(join(folder, weights), (header) => (header[norm]!.dtype = "F8_E4M3")),
    /^model\.safetensors: model\.norm\.weight: dtype F8_E4M3 is not one of F64, F32, F16/,
  ],
  [
    "ranges that overlap",
    "whole",
    (folder) =>
      editHeader(join(folder, weights), (header) => {
        header[norm]!.data_offsets = header["model.layers.0.input_layernorm.weight"]!.data_offsets;
      }),
    /^model\.safetensors: \S+: it begins at \d+ of the data, where \d+ is next; tensors must (not overlap|leave no gap)$/,
  ],
  [
    "a header that is too large",
    "whole",
    async (folder) => {
      const file = await readFile(join(folder, weights));
      file.writeBigUInt64LE(2n ** 40n);
      await writeFile(join(folder, weights), file);
    },
    /^model\.safetensors: header: its length is 1099511627776, must be at most/,
  ],
  [
    "a pointer of Git LFS",
    "whole",
    (folder) =>
      writeFile(
        join(folder, weights),
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
      ),
    /^model\.safetensors: is a pointer of Git LFS, not the data; fetch it with git lfs pull$/,
  ],
  [
    "a folder in place of a shard",
    "sharded",
    async (folder) => {
      await rm(join(folder, shard(2, 3)));
      await mkdir(join(folder, shard(2, 3)));
    },
    /^model-00002-of-00003\.safetensors: not a regular file$/,
  ],
  ...["../../x.safetensors", "/etc/passwd", "..", "a/b.safetensors", "..\\x"].map(
    (name): (typeof faults)[number] => [
      `an index that leads to ${name}`,
      "sharded",
      (folder) => editIndex(folder, (map) => (map[norm] = name)),
      /^model\.safetensors\.index\.json: model\.norm\.weight: .* must be the plain name of a file in the same folder$/,
    ],
  ),
  [
    "an index with a tensor that its shard lacks",
    "sharded",
    (folder) => editIndex(folder, (map) => (map.x = shard(1, 3))),
    /^model\.safetensors\.index\.json: x: it is not in model-00001-of-00003\.safetensors$/,
  ],
  [
    "an index without a tensor of a shard",
    "sharded",
    (folder) => editIndex(folder, (map) => delete map[norm]),
    /^model-0000\d-of-00003\.safetensors: model\.norm\.weight: model\.safetensors\.index\.json has it in no file$/,
  ],
  [
    "a tensor in two shards",
    "sharded",
    async (folder) => {
      await cp(join(folder, shard(3, 3)), join(folder, "again.safetensors"));
      await editIndex(folder, (map) => (map[norm] = "again.safetensors"));
    },
    /safetensors: \S+: model\.safetensors\.index\.json has it in \S+\.safetensors$/,
  ],
  [
    "an index of nothing",
    "sharded",
    (folder) => writeFile(join(folder, index), '{"weight_map": {}}'),
    /^config\.json: describes a model of at least \d+ weights in 2 layers, but the checkpoint has 0 in 0 tensors$/,
  ],
  [
    "no weights",
    "whole",
    (folder) => rm(join(folder, weights)),
    /^the folder has neither model\.safetensors nor model\.safetensors\.index\.json$/,
  ],
  [
    "a pickle",
    "whole",
    (folder) => rename(join(folder, weights), join(folder, "pytorch_model.bin")),
    /^has pytorch_model\.bin but no safetensors; a pickle can run code/,
  ],
  [
    "no configuration",
    "whole",
    (folder) => rm(join(folder, "config.json")),
    /^config\.json: no such file$/,
  ],
  [
    "a configuration that is not JSON",
    "whole",
    (folder) => writeFile(join(folder, "config.json"), '{\n  "model_type": llama\n}'),
    /^config\.json, line 2, column 17: not JSON: expected a value, got "llama"$/,
  ],
  [
    "a configuration that is a list",
    "whole",
    (folder) => writeFile(join(folder, "config.json"), "[]"),
    /^config\.json: must hold an object, \{ \.\.\. \}, got an array$/,
  ],
  [
    "a configuration of another model",
    "whole",
    (folder) => editConfig(folder, { model_type: "mamba" }),
    /^config\.json: model_type is not supported; supported are .*, got "mamba"$/,
  ],
];

for (const [title, of, damage, message] of faults)
  test.serial(`refused: ${title}`, async (t) => {
    const folder = await copyOf(of === "whole" ? whole : sharded);
    await damage(folder);
    const error = await t.throwsAsync(loadDecoder(folder), { instanceOf: CheckpointError });
    t.regex(error!.message.replaceAll(`${folder}/`, "").replace(`${folder}: `, ""), message);
  });

test.serial("what is not damaged loads", async (t) => {
  for (const folder of [whole, sharded]) {
    const { decoder } = await loadDecoder(folder);
    t.is(decoder.options.layers, 2);
    decoder.dispose();
  }
});

test.serial("a configuration that claims too much takes neither memory nor time", async (t) => {
  const folder = await copyOf(whole);
  const counts = Object.keys(config).filter((key) => key.includes("_") && key !== "model_type");
  const values = [1e12, 2 ** 31 - 2, 2 ** 24, 1e300, -1, 0, 0.5, "8", null, [], {}, true, [[[]]]];
  for (const key of [...counts, "head_dim"])
    for (const value of values) {
      await editConfig(folder, { rope_scaling: { type: "linear", factor: 2 }, [key]: value });
      const { rss } = process.memoryUsage();
      const begin = performance.now();
      const what = `${key}: ${JSON.stringify(value)}`;
      const error = await loadDecoder(folder).then(
        ({ decoder }) => decoder.dispose(),
        (reason: unknown) => reason,
      );
      t.true(error === undefined || error instanceof UserLlmError, `${what}: ${error}`);
      t.is(memory().tensors, before, what);
      t.true(performance.now() - begin < 10_000, what);
      t.true(process.memoryUsage().rss - rss < 500e6, what);
    }
});

test.serial("a header with changed bytes is refused, or describes the same model", async (t) => {
  const folder = await copyOf(whole);
  const path = join(folder, weights);
  const file = await readFile(path);
  const end = 8 + Number(file.readBigUInt64LE());
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(end - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 3,
      }),
      async (flips) => {
        const damaged = Buffer.from(file);
        for (const [at, mask] of flips) damaged[at]! ^= mask;
        await writeFile(path, damaged);
        try {
          const { decoder } = await loadDecoder(folder);
          decoder.dispose();
        } catch (error) {
          if (!(error instanceof UserLlmError)) throw error;
          refused++;
        }
        t.is(memory().tensors, before);
      },
    ),
    { numRuns: 300 },
  );
  t.true(refused > 200);
});
