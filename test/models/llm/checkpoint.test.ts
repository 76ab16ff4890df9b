import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { CheckpointError, UsageError } from "../../../src/errors.js";
import {
  loadTensors,
  openCheckpoint,
  readJsonObject,
  readJsonObjectIfThere,
  saveCheckpoint,
  type WantedTensor,
} from "../../../src/models/index.js";
import { multiply, transpose } from "../../../src/ops/index.js";
import type { Progress } from "../../../src/progress.js";
import {
  type DeferredTensor,
  type DType,
  memory,
  openSafetensors,
  type Tensor,
  tensor,
} from "../../../src/tensor/index.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

async function freshFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-checkpoint-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

/** Saves tensors and disposes them. */
async function saved(
  t: ExecutionContext,
  tensors: Record<string, Tensor>,
  options: Parameters<typeof saveCheckpoint>[2] = {},
): Promise<string> {
  const folder = await freshFolder(t);
  await saveCheckpoint(folder, tensors, options);
  for (const each of Object.values(tensors)) each.dispose();
  return folder;
}

const ramp = (size: number, scale = 1): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => ((i * 37) % 1009) * scale - 300);

const named = (name: string, shape: readonly number[], dtype?: DType): WantedTensor => ({
  names: [name],
  shape,
  dtype,
});

const read = async (
  folder: string,
  wanted: ReadonlyMap<string, WantedTensor>,
  options: Parameters<typeof loadTensors>[2] = {},
): Promise<Map<string, number[]>> => {
  const result = new Map<string, number[]>();
  await using checkpoint = await openCheckpoint(folder);
  for await (const [key, value] of loadTensors(checkpoint, wanted, options)) {
    result.set(key, ((await value.toArray()) as number[]).flat(Infinity) as number[]);
    value.dispose();
  }
  return result;
};

for (const stored of ["float32", "bfloat16", "float16", "float64"] as const)
  for (const dtype of ["float32", "bfloat16"] as const)
    test.serial(
      `a tensor of several blocks, stored as ${stored}, is read as ${dtype}`,
      async (t) => {
        const shape = [3, 700_001]; // two blocks and a bit; no row ends where a block does
        const values = ramp(2_100_003, 0.37);
        const folder = await saved(t, { x: tensor(values, { shape }) }, { dtype: stored });
        await using checkpoint = await openCheckpoint(folder);
        const codes = { float32: "F32", bfloat16: "BF16", float16: "F16", float64: "F64" } as const;
        t.is(checkpoint.info("x").dtype, codes[stored]);
        let bytes = 0;
        using x = await checkpoint.read("x", { dtype, onBytes: (more) => (bytes += more) });
        t.is(bytes, checkpoint.info("x").bytes);
        t.is(x.dtype, dtype);
        t.deepEqual(x.shape, shape);
        await using file = await openSafetensors(folder);
        using whole = await file.read("x", { dtype }); // converts on the JavaScript side
        t.true(
          Buffer.from((await x.data()).buffer).equals(Buffer.from((await whole.data()).buffer)),
        );
      },
    );

test.serial("scalars and tensors without elements are read", async (t) => {
  const folder = await saved(t, { one: tensor(2.5), none: tensor([], { shape: [0, 3] }) });
  await using checkpoint = await openCheckpoint(folder);
  using one = await checkpoint.read("one");
  using none = await checkpoint.read("none", { dtype: "bfloat16" });
  t.deepEqual([one.shape, await one.item()], [[], 2.5]);
  t.deepEqual([none.shape, none.dtype], [[0, 3], "bfloat16"]);
});

test.serial(
  "weights come under the first of their names, each in its dtype and layout",
  async (t) => {
    const folder = await saved(
      t,
      {
        plain: tensor(ramp(6), { shape: [2, 3] }),
        old: tensor([1.00390625]),
        turned: tensor(ramp(6), { shape: [2, 3] }),
        "layers.0.rotary.inv_freq": tensor([1]),
      },
      { shardBytes: 30 },
    );
    const wanted = new Map<string, WantedTensor>([
      ["c", { ...named("turned", [2, 3]), fromStored: (x) => transpose(x) }],
      ["b", { names: ["new", "old"], shape: [1], dtype: "bfloat16" }],
      ["a", named("plain", [2, 3])],
    ]);
    const progress: Progress[] = [];
    const values = await read(folder, wanted, {
      ignored: (name) => name.endsWith(".inv_freq"),
      onProgress: (step) => progress.push(step),
    });
    const flat = [...ramp(6)];
    t.deepEqual([...values.keys()], ["b", "a", "c"], "in the order of the files");
    t.deepEqual(values.get("a"), flat);
    t.deepEqual(values.get("b"), [1]);
    t.deepEqual(
      values.get("c"),
      [0, 3, 1, 4, 2, 5].map((i) => flat[i]!),
    );
    t.deepEqual(progress.at(-1), { task: `reading ${folder}`, done: 52, total: 52, unit: "bytes" });
  },
);

test.serial("missing and unexpected tensors are listed, at most ten of each", async (t) => {
  const folder = await saved(
    t,
    Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`extra${i + 10}`, tensor([i])])),
  );
  await t.throwsAsync(read(folder, new Map([["x", named("x", [1])]])), {
    instanceOf: CheckpointError,
    message: `${folder}: tensors are missing: x; not part of the model: ${Array.from({ length: 10 }, (_, i) => `extra${i + 10}`).join(", ")} and 2 more`,
  });
  const some = Array.from({ length: 13 }, (_, i) => [i, named(`extra${i + 10}`, [1])] as const);
  await t.throwsAsync(read(folder, new Map(some.map(([i, each]) => [String(i), each]))), {
    message: `${folder}: tensors are missing: extra22`,
  });
});

test.serial("a tensor of another shape is named with its file and both shapes", async (t) => {
  const folder = await saved(t, { x: tensor([[1, 2]]), y: tensor([1]) });
  const file = join(folder, "model.safetensors");
  const wanted = new Map([
    ["a", named("x", [2, 1])],
    ["b", named("y", [1])],
  ]);
  await t.throwsAsync(read(folder, wanted), {
    instanceOf: CheckpointError,
    message: `${file}: x is [1, 2], the model needs [2, 1]`,
  });
  wanted.set("b", named("y", [1, 1]));
  await t.throwsAsync(read(folder, wanted), {
    message: `${file}: x is [1, 2], the model needs [2, 1]; 2 tensors have another shape`,
  });
});

test.serial("whole numbers are not weights", async (t) => {
  const folder = await saved(t, { x: tensor([1, 2], { dtype: "int32" }) });
  await t.throwsAsync(read(folder, new Map([["x", named("x", [2])]])), {
    instanceOf: CheckpointError,
    message: `${join(folder, "model.safetensors")}: x: I32 is not floating point; quantised weights are not supported`,
  });
});

test.serial("an aborted load, and one whose reader stops, leave nothing behind", async (t) => {
  const folder = await saved(t, { x: tensor(ramp(2_500_000)), y: tensor([1]) });
  const wanted = new Map([
    ["x", named("x", [2_500_000])],
    ["y", named("y", [1])],
  ]);
  const reason = new Error("enough");
  const stop = new AbortController();
  let steps = 0;
  const onProgress = (): void => {
    if (++steps === 2) stop.abort(reason);
  };
  const error = await t.throwsAsync(read(folder, wanted, { signal: stop.signal, onProgress }));
  t.is(error, reason);
  t.is(steps, 2);
  await using checkpoint = await openCheckpoint(folder);
  for await (const [, value] of loadTensors(checkpoint, wanted)) {
    value.dispose();
    break;
  }
  const failing = { ...named("y", [1]), fromStored: () => t.fail() as never };
  await t.throwsAsync(
    read(folder, new Map([["y", { ...failing, fromStored: () => JSON.parse("{") }]]), {
      ignored: () => true,
    }),
    { instanceOf: SyntaxError },
  );
});

test.serial("half precision is rounded to even, as the reference does", async (t) => {
  const golden = new URL("../../golden/safetensors/float16.safetensors", import.meta.url).pathname;
  await using file = await openSafetensors(golden);
  using floats = await file.read("floats");
  const folder = await saved(t, { floats: await file.read("floats") }, { dtype: "float16" });
  await using checkpoint = await openCheckpoint(folder);
  t.is(checkpoint.info("floats").dtype, "F16");
  using back = await checkpoint.read("floats");
  t.deepEqual(await back.data(), await floats.data());

  const ties = [
    ...[1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519.99, 2 ** -25, 3 * 2 ** -25, 2 ** -14 - 2 ** -26],
    ...[-(1 + 3 * 2 ** -11), 2047.4999, Infinity, -Infinity, 2.9e-8, -2.9e-8],
  ];
  const rounded = await saved(t, { x: tensor(ties), nan: tensor([NaN]) }, { dtype: "float16" });
  const values = await read(
    rounded,
    new Map([
      ["x", named("x", [ties.length])],
      ["nan", named("nan", [1])],
    ]),
  );
  t.deepEqual(values.get("x"), [
    ...[1, 1 + 2 ** -9, 65504, 0, 2 ** -23, 2 ** -14],
    ...[-(1 + 2 ** -9), 2047, Infinity, -Infinity, 0, -0],
  ]);
  t.deepEqual(values.get("nan"), [NaN]);
});

test.serial("a number that half precision cannot hold stops the save", async (t) => {
  const folder = await freshFolder(t);
  using x = tensor([1, -65520]);
  await t.throwsAsync(saveCheckpoint(folder, { x }, { dtype: "float16" }), {
    instanceOf: CheckpointError,
    message: `${join(folder, "model.safetensors")}: x: float16 cannot hold -65520; save it as bfloat16`,
  });
  t.deepEqual(await readdir(folder), []);
});

test.serial("a deferred tensor is made when its turn comes, one at a time", async (t) => {
  const folder = await freshFolder(t);
  let most = 0;
  const start = memory().tensors;
  const deferred = (fill: number, shape: number[]): DeferredTensor => ({
    shape,
    dtype: "float32",
    make() {
      most = Math.max(most, memory().tensors - start);
      return tensor(new Float32Array(shape[0]!).fill(fill));
    },
  });
  await saveCheckpoint(folder, { a: deferred(1, [1]), b: deferred(2, [2]) });
  t.is(most, 0);
  const wanted = new Map([
    ["a", named("a", [1])],
    ["b", named("b", [2])],
  ]);
  t.deepEqual(
    [...(await read(folder, wanted))],
    [
      ["a", [1]],
      ["b", [2, 2]],
    ],
  );
  const liar = { ...deferred(1, [1]), shape: [2] };
  await t.throwsAsync(saveCheckpoint(folder, { a: liar }), {
    instanceOf: UsageError,
    message: /: a: float32 \[2\] was promised, float32 \[1\] made$/,
  });
});

test.serial("saving reports bytes, and an abort keeps what was there", async (t) => {
  const folder = await freshFolder(t);
  using small = tensor([7]);
  using large = tensor(ramp(2_500_000));
  await saveCheckpoint(folder, { x: small });
  const old = await readFile(join(folder, "model.safetensors"));
  const stop = new AbortController();
  const reason = new Error("enough");
  const progress: Progress[] = [];
  const onProgress = (step: Progress): void => {
    progress.push(step);
    if (progress.length === 2) stop.abort(reason);
  };
  const error = await t.throwsAsync(
    saveCheckpoint(folder, { large }, { signal: stop.signal, onProgress }),
  );
  t.is(error, reason);
  t.deepEqual(
    progress.map(({ done, total }) => [done, total]),
    [
      [4 << 20, 10_000_000],
      [8 << 20, 10_000_000],
    ],
  );
  t.deepEqual(await readdir(folder), ["model.safetensors"]);
  t.deepEqual(await readFile(join(folder, "model.safetensors")), old);
});

test.serial("a folder of pickles is refused by name", async (t) => {
  const folder = await freshFolder(t);
  await writeFile(join(folder, "pytorch_model.bin"), "");
  await t.throwsAsync(openCheckpoint(folder), {
    instanceOf: CheckpointError,
    message: `${folder}: has pytorch_model.bin but no safetensors; a pickle can run code and is never read, convert it in Python`,
  });
  await t.throwsAsync(openCheckpoint(join(folder, "absent")), {
    instanceOf: CheckpointError,
    message: `${join(folder, "absent")}: no such folder`,
  });
});

test.serial("a file that is not JSON is refused with the place", async (t) => {
  const path = join(await freshFolder(t), "config.json");
  const refused = async (text: string | Buffer): Promise<string> => {
    await writeFile(path, text);
    const error = await t.throwsAsync(readJsonObject(path), { instanceOf: CheckpointError });
    return error!.message.replace(path, "config.json");
  };
  const cases: [text: string, message: string][] = [
    ["", "line 1, column 1: not JSON: expected a value, got the end of the file"],
    ['{\n  "a": 1,\n}', 'line 3, column 1: not JSON: expected a key, got "}"'],
    ['{"a": NaN}', 'line 1, column 7: not JSON: expected a value, got "NaN"'],
    ['{"a" 1}', 'line 1, column 6: not JSON: expected ":", got "1"'],
    ['{"a": 1 "b": 2}', 'line 1, column 9: not JSON: expected "," or "}", got "\\"b\\""'],
    ['{"a": [1 2]}', 'line 1, column 10: not JSON: expected "," or "]", got "2"'],
    ['{"a": 01}', 'line 1, column 7: not JSON: expected a value, got "01"'],
    ['{"a": "\t"}', 'line 1, column 7: not JSON: expected a value, got "\\""'],
    ["{'a': 1}", `line 1, column 2: not JSON: expected a key or "}", got "'a'"`],
    ["{} x", 'line 1, column 4: not JSON: expected the end, got "x"'],
    ["[1, ]", 'line 1, column 5: not JSON: expected a value, got "]"'],
    ['{"a": tru', 'line 1, column 7: not JSON: expected a value, got "tru"'],
    ['{"a": {\n', 'line 2, column 1: not JSON: expected a key or "}", got the end of the file'],
  ];
  for (const [text, message] of cases) t.is(await refused(text), `config.json, ${message}`, text);
  t.is(await refused("[]"), "config.json: must hold an object, { ... }, got an array");
  t.is(await refused("null"), "config.json: must hold an object, { ... }, got null");
  t.is(await refused("3"), "config.json: must hold an object, { ... }, got a number");
  t.regex(await refused(Buffer.alloc(1 << 25, " ")), /^config.json: has 33554432 bytes, must have/);
  t.regex(await refused("[".repeat(1 << 20)), /^config.json, line 1, column 1048577: not JSON/);
  await writeFile(path, "\ufeff{}");
  t.deepEqual(await readJsonObject(path), {});
  await rm(path);
  t.is(await readJsonObjectIfThere(path), undefined);
  await t.throwsAsync(readJsonObject(path), { message: `${path}: no such file` });
});

const python = process.env.USER_LLM_PYTHON;
const shared =
  process.env.USER_LLM_SHARED ?? fileURLToPath(new URL("../../../../shared", import.meta.url));
const tiny = join(shared, "models/tinystories-656k-hf");
(python && existsSync(tiny) ? test.serial : test.skip)(
  `transformers loads what we save (USER_LLM_PYTHON, ${tiny})`,
  async (t) => {
    const folder = await freshFolder(t);
    await using checkpoint = await openCheckpoint(tiny);
    const exact = new Map<string, Tensor>();
    for (const name of checkpoint.names) exact.set(name, await checkpoint.read(name));
    // The weights are bfloat16 numbers; these are not.
    const scaled = new Map([...exact].map(([name, each]) => [name, multiply(each, 1.001)]));
    const folders: string[] = [];
    for (const [tensors, dtype] of [
      [exact, "float32"],
      [scaled, "float32"],
      [scaled, "bfloat16"],
      [scaled, "float16"],
    ] as const) {
      const place = join(folder, String(folders.length));
      const options = { dtype, shardBytes: 500_000 };
      await saveCheckpoint(place, tensors, options);
      await saveCheckpoint(place, tensors, options); // shards by other names
      await copyFile(join(tiny, "config.json"), join(place, "config.json"));
      t.true((await readdir(place)).length > 4);
      folders.push(place);
    }
    for (const each of [...exact.values(), ...scaled.values()]) each.dispose();
    const script = `
import json, sys, torch
from transformers import AutoModelForCausalLM
load = lambda folder: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
def compare(original, folder):
    original = dict(load(original)[0].named_parameters())
    model, info = load(folder)
    off = max((p - original[n]).abs().max().item() for n, p in model.named_parameters())
    return [off, len(info["missing_keys"]), len(info["unexpected_keys"])]
tiny, exact, scaled, brain, half = sys.argv[1:]
print(json.dumps([compare(tiny, exact), compare(scaled, brain), compare(scaled, half)]))
`;
    const { stdout, stderr } = spawnSync(python!, ["-c", script, tiny, ...folders], {
      encoding: "utf8",
    });
    t.not(stdout, "", stderr);
    const [same, ...rounded] = JSON.parse(stdout) as [number, number, number][];
    t.deepEqual(same, [0, 0, 0]);
    for (const [i, [off, missing, unexpected]] of rounded.entries()) {
      t.true(off > 0 && off < [0.02, 0.003][i]!, String(off));
      t.deepEqual([missing, unexpected], [0, 0]);
    }
  },
);
