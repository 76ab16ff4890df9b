/** How loaders end that nobody ends: with the process, with a worker, with the garbage. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { load, program, worker } from "../../environment/program.js";

const folder = mkdtempSync(join(tmpdir(), "user-llm-loader-"));
test.after.always(() => rmSync(folder, { recursive: true }));
const items = join(folder, "items");
writeFileSync(
  items,
  Int32Array.from({ length: 2_000_000 }, (_, i) => i % 1000),
);

const source = (path: string): string =>
  JSON.stringify(new URL(`../../../src/data/${path}`, import.meta.url).href);

/** Defines `loader(options)`, over mapped events of 100 users, whose batches are large. */
const define = `
  const { Loader } = await import(${source("loader/loader.ts")});
  const { mapFile, unmapFile } = await import(${source("prepared/map-file.ts")});
  const mapped = mapFile(${JSON.stringify(items)});
  const column = new Int32Array(mapped);
  const data = { items: 1000, features: [], column: () => column };
  const ramp = (length, step) => Float64Array.from({ length }, (_, i) => i * step);
  const windows = {
    length: 500, count: 100 * 19_000, starts: ramp(101, 20_000), cumulative: ramp(101, 19_000),
    first: ramp(100, 20_000).map((row) => row + 1000),
  };
  const loader = (options = {}) =>
    new Loader(data, windows, { batchSize: 5000, shuffle: true, epochs: Infinity, ...options });
`;
const inWorker = (body: string): string => worker(`${define} ${body}`);
const message = "await new Promise((resolve) => w.once('message', resolve))";

test("a worker terminated in mid-gather leaves the others working", async (t) => {
  const { code, signal, stdout, stderr } = await program(`${load} ${define}
    for (let i = 0; i < 4; i++) {
      const w = ${inWorker(`
        for (let i = 0; i < 3; i++) loader({ seed: i })[Symbol.asyncIterator]().next();
        for await (const batch of loader()) parentPort.postMessage(batch.size);
      `)};
      console.log(${message});
      await w.terminate();
      for await (const { size } of loader()) {
        console.log(size);
        break;
      }
    }
  `);
  t.is(signal, null, stderr);
  t.is(code, 0, stderr);
  t.is(stdout, "5000\n".repeat(8));
});

test("a worker that ends with a loader open ends well", async (t) => {
  const { code, signal, stdout, stderr } = await program(`
    const w = ${inWorker(`
      const iterator = loader()[Symbol.asyncIterator]();
      await iterator.next();
      parentPort.postMessage("read");
    `)};
    console.log(${message});
    console.log(await new Promise((resolve) => w.once("exit", resolve)));
  `);
  t.is(signal, null, stderr);
  t.is(code, 0, stderr);
  t.is(stdout, "read\n0\n");
});

test("process.exit in mid-gather keeps its exit code", async (t) => {
  for (const when of ["process.exit(7)", "setTimeout(() => process.exit(7), 20)"]) {
    const { code, signal, stderr } = await program(`${define}
      for (let i = 0; i < 3; i++) loader({ seed: i })[Symbol.asyncIterator]().next();
      ${when};
    `);
    t.is(signal, null, stderr);
    t.is(code, 7, stderr);
  }
});

test("an awaited batch keeps the process alive, an open loader does not", async (t) => {
  const { code, stdout, stderr } = await program(`${define}
    const iterator = loader()[Symbol.asyncIterator]();
    iterator.next().then(({ value }) => console.log(value.size));
  `);
  t.is(code, 0, stderr);
  t.is(stdout, "5000\n");
});

test("loaders read on when their mapping is let go", async (t) => {
  const { code, signal, stdout, stderr } = await program(
    `${define}
    const { existsSync, readFileSync } = await import("node:fs");
    const maps = "/proc/self/maps"; // only Linux tells
    const isMapped = () =>
      existsSync(maps) ? readFileSync(maps, "utf8").includes(${JSON.stringify(items)}) : undefined;
    const batches = loader({ batchSize: 10, epochs: Infinity })[Symbol.asyncIterator]();
    await batches.next();
    unmapFile(mapped);
    for (let i = 0; i < 10; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    console.log(column.length, isMapped() ?? true);
    for (let i = 0; i < 300; i++) {
      const { value } = await batches.next();
      const ids = await value.inputs.item.data();
      if (ids.some((id, i) => i % 500 !== 0 && id !== (ids[i - 1] + 1) % 1000)) console.log("wrong");
    }
    await batches.return();
    await new Promise((resolve) => setTimeout(resolve, 50));
    console.log(isMapped() ?? false);
  `,
    { nodeArguments: ["--expose-gc"] },
  );
  t.is(signal, null, stderr);
  t.is(code, 0, stderr);
  t.is(stdout, "0 true\nfalse\n");
});

test("abandoned iterators leave neither tensors nor memory nor threads", async (t) => {
  const { code, stdout, stderr } = await program(
    `${load} ${define}
    const { existsSync, readdirSync } = await import("node:fs");
    const tasks = "/proc/self/task"; // only Linux tells
    const threads = () => (existsSync(tasks) ? readdirSync(tasks).length : 0);
    const open = async (seed) => {
      const iterator = loader({ seed, batchSize: 500 })[Symbol.asyncIterator]();
      await iterator.next();
    };
    const settle = async () => {
      for (let i = 0; i < 5; i++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await open(0);
    await settle();
    const [tensors, memory, count] = [llm.memory().tensors, process.memoryUsage().rss, threads()];
    for (let i = 1; i <= 60; i++) {
      await open(i);
      if (i % 10 === 0) await settle();
    }
    await settle();
    const grown = process.memoryUsage().rss - memory;
    console.log(llm.memory().tensors - tensors, threads() - count, grown < 100e6 ? "" : grown);
  `,
    { nodeArguments: ["--expose-gc"] },
  );
  t.is(code, 0, stderr);
  t.is(stdout, "0 0 \n");
});

test("running out of memory is an error in the loop, and leaves nothing", async (t) => {
  const { code, stdout, stderr } = await program(
    `${load} ${define}
    try {
      for await (const batch of loader()) console.log(batch.size);
    } catch (error) {
      console.log(error.code, llm.memory().tensors);
    }
    for await (const batch of loader({ batchSize: 5 })) {
      console.log(batch.size);
      break;
    }
  `,
    { env: { USER_LLM_MEMORY_LIMIT: "15000000" } },
  );
  t.is(code, 0, stderr);
  t.is(stdout, "ERR_OUT_OF_MEMORY 0\n5\n");
});
