/** Checkpoints that are not as they were written: named, with one that is intact; never half loaded. */
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { CheckpointError } from "../../src/errors.js";
import { Generator } from "../../src/ops/index.js";
import { parseState } from "../../src/train/checkpoint/run-state.js";
import { fit } from "../../src/train/index.js";
import { Tiny } from "./tiny.js";

const root = await realpath(await mkdtemp(join(tmpdir(), "user-llm-damage-")));
test.after.always(() => rm(root, { recursive: true }));
const sound = join(root, "sound");
let expected = "";
let folders = 0;

/** Step 4 and, as the latest, step 8 of 12. */
test.before(async () => {
  using tiny = new Tiny();
  const controller = new AbortController();
  const { learningRate } = tiny.options();
  await fit({
    ...tiny.options(sound),
    signal: controller.signal,
    learningRate: (step) => {
      if (step === 7) controller.abort();
      return learningRate(step);
    },
  });
  using whole = new Tiny();
  await fit(whole.options());
  expected = await whole.digest();
});

async function copy(): Promise<string> {
  const folder = join(root, `${folders++}`);
  await cp(sound, folder, { recursive: true });
  return folder;
}

/** Resumes; @returns the weights' digest at the end */
async function resume(folder: string, how = "auto", fallback = false): Promise<string> {
  using tiny = new Tiny();
  const checkpoints = { ...tiny.checkpoints(folder), fallback };
  const { reason } = await fit({ ...tiny.options(), checkpoints, resume: how });
  if (reason !== "finished") throw new Error(reason);
  return await tiny.digest();
}

const edit = (change: (state: Record<string, never>) => void) => async (folder: string) => {
  const path = join(folder, "step-8/state.json");
  const state = JSON.parse(await readFile(path, "utf8")) as Record<string, never>;
  change(state);
  await writeFile(path, JSON.stringify(state));
};

type Damage = readonly [
  what: string,
  damage: (folder: string) => Promise<unknown>,
  message: RegExp,
];
const damages: readonly Damage[] = [
  [
    "latest names nothing",
    (f) => writeFile(join(f, "latest"), "step-9\n"),
    /step-9\/?.*no such file/,
  ],
  [
    "latest is empty",
    (f) => writeFile(join(f, "latest"), ""),
    /latest: expected the name of a checkpoint, got ""/,
  ],
  [
    "latest leads elsewhere",
    (f) => writeFile(join(f, "latest"), "../../step-8"),
    /expected the name of a checkpoint/,
  ],
  ["the folder is gone", (f) => rm(join(f, "step-8"), { recursive: true }), /step-8/],
  [
    "no weights",
    (f) => rm(join(f, "step-8/model.safetensors")),
    /step-8: model\.safetensors is missing/,
  ],
  [
    "weights cut short",
    (f) => truncate(join(f, "step-8/model.safetensors"), 100),
    /has 100 bytes, was written with \d+/,
  ],
  [
    "no optimizer",
    (f) => rm(join(f, "step-8/optimizer.safetensors")),
    /optimizer\.safetensors is missing/,
  ],
  [
    "a bit of the optimizer",
    async (f) => {
      const path = join(f, "step-8/optimizer.safetensors");
      const bytes = await readFile(path);
      bytes[bytes.length - 5]! ^= 4;
      await writeFile(path, bytes);
    },
    /optimizer\.safetensors is not as it was written/,
  ],
  [
    "a file too many",
    (f) => writeFile(join(f, "step-8/more"), "x"),
    /more is not part of the checkpoint/,
  ],
  ["no state", (f) => rm(join(f, "step-8/state.json")), /no such file/],
  ["half a state", (f) => truncate(join(f, "step-8/state.json"), 200), /state\.json: is not JSON/],
  [
    "another file",
    (f) => writeFile(join(f, "step-8/state.json"), "[]"),
    /state\.json: expected an object, got \[\]/,
  ],
  ["another format", edit((s) => delete s.format), /is not the state of a checkpoint/],
  [
    "a later version",
    edit((s) => Object.assign(s, { version: 2 })),
    /has version 2; this release reads 1/,
  ],
  ["another step", edit((s) => Object.assign(s, { step: 4 })), /is of step 4, must be of 8/],
  [
    "a negative step",
    edit((s) => Object.assign(s, { step: -8 })),
    /step: expected a number from 0, got -8/,
  ],
  [
    "a text",
    edit((s) => Object.assign(s, { batches: "x" })),
    /batches: expected an object, got "x"/,
  ],
  ["nothing", edit((s) => delete s.generators), /generators: expected a list, got nothing/],
  [
    "a fraction",
    edit((s) => Object.assign(s, { generators: [{ seed: 0.5, step: 0, call: 0 }] })),
    /generators\[0\]\.seed: expected a whole number from 0, got 0\.5/,
  ],
  [
    "a path out",
    edit((s) => Object.assign(s, { files: [{ name: "../x", bytes: 0, sha256: "" }] })),
    /\.\.\/x is missing/,
  ],
];

for (const [what, damage, message] of damages)
  test.serial(`damaged: ${what}`, async (t) => {
    const folder = await copy();
    await damage(folder);
    const intact =
      /^(?:latest|the folder)/.test(what) && what.startsWith("latest") ? "step-8" : "step-4";
    const error = await t.throwsAsync(resume(folder), { instanceOf: CheckpointError, message });
    t.true(error.message.endsWith(`; ${join(folder, intact)} is intact: resume from that one`));
    t.false(error.message.includes("\n"));
    const kept = (await readdir(folder)).sort();
    t.is(await resume(folder, intact), expected, `an error changed something: ${kept}`);
  });

test.serial("on request, the newest intact one takes the place of a damaged one", async (t) => {
  const folder = await copy();
  await truncate(join(folder, "step-8/model.safetensors"), 100);
  t.is(await resume(folder, "auto", true), expected);
  t.deepEqual((await readdir(folder)).sort(), ["latest", "step-12", "step-8"]);
});

test.serial("where none is intact, the error says what is wrong with the latest", async (t) => {
  const folder = await copy();
  for (const step of [4, 8]) await rm(join(folder, `step-${step}/state.json`));
  const message = `${join(folder, "step-8")}: cannot read the checkpoint: no such file or folder`;
  await t.throwsAsync(resume(folder, "auto", true), { instanceOf: CheckpointError, message });
});

test.serial("a checkpoint may be named, and what came after it goes", async (t) => {
  for (const how of ["step-4", "latest"]) t.is(await resume(await copy(), how), expected);
  const folder = await copy();
  t.is(await resume(folder, join(folder, "step-4")), expected);
  await t.throwsAsync(resume(await copy(), "best"), { instanceOf: CheckpointError });
});

test.serial(
  "without a latest, the newest that is intact is it; without checkpoints, a run begins",
  async (t) => {
    const folder = await copy();
    await rm(join(folder, "latest"));
    await mkdir(join(folder, "step-12.tmp"));
    await writeFile(join(folder, "notes.txt"), "mine");
    t.is(await resume(folder), expected);
    t.deepEqual((await readdir(folder)).sort(), ["latest", "notes.txt", "step-12", "step-8"]);
    t.is(await resume(join(root, "new")), expected);
  },
);

test.serial("a checkpoint of another run is refused, with what differs", async (t) => {
  const folder = await copy();
  using tiny = new Tiny();
  const options = { ...tiny.options(folder), resume: "auto" };
  const refused = async (change: object, differing: string) =>
    t.throwsAsync(fit({ ...options, ...change }), {
      instanceOf: CheckpointError,
      message: `${join(folder, "step-8")}: is of another run: ${differing}`,
    });
  await refused(
    { accumulate: 2, clipNorm: undefined },
    "accumulate is 2, was 1; clipNorm is not set, was 1",
  );
  await refused({ learningRate: () => 0.5 }, "the learning rate of step 0 is 0.5, was 0");
  await refused({ steps: 7 }, "steps is 7, and 8 are done");
  await refused(
    { generators: [tiny.generator, new Generator(1)] },
    "there are 3 generators, were 2",
  );
  const checkpoints = { ...tiny.checkpoints(folder), fingerprints: { data: "abc" } };
  await refused({ checkpoints }, "data is abc, was not given");
  using other = new Tiny({ optimizer: "adafactor" });
  await t.throwsAsync(fit({ ...other.options(folder), resume: "auto" }), {
    instanceOf: CheckpointError,
    message: /^Adafactor: /,
  });
});

test("whatever stands in a state, reading it is a CheckpointError or a state", async (t) => {
  const text = await readFile(join(sound, "step-8/state.json"), "utf8");
  const paths = (value: unknown, path: string[] = []): string[][] =>
    typeof value === "object" && value !== null
      ? [path, ...Object.entries(value).flatMap(([name, item]) => paths(item, [...path, name]))]
      : [path];
  const places = paths(JSON.parse(text)).slice(1);
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.jsonValue(), (path, value) => {
      const state = JSON.parse(text) as Record<string, unknown>;
      let at = state;
      for (const name of path.slice(0, -1)) at = at[name] as Record<string, unknown>;
      at[path.at(-1)!] = value;
      try {
        const parsed = parseState(JSON.stringify(state), "state.json");
        return Number.isSafeInteger(parsed.step) && parsed.files.length >= 0;
      } catch (error) {
        return error instanceof CheckpointError && !error.message.includes("\n");
      }
    }),
    { numRuns: 300 },
  );
  t.pass();
});
