/** Node's worker threads: each has queue and tensors of its own, all share the stream thread. */
import test from "ava";
import { load, longOp, program, worker } from "./program.js";

const message = "await new Promise((resolve) => w.once('message', resolve))";

test("two workers and the main thread compute at the same time", async (t) => {
  const work = `
    let total = 0;
    for (let i = 0; i < 200; i++)
      total += await llm.tidy(() => llm.softmax(llm.matmul(llm.ones([20, 50]), llm.full([50, 30], i)))).item0();
  `.replace(".item0()", ".data().then((data) => data.reduce((a, b) => a + b))");
  const { code, stdout, stderr } = await program(`${load}
    const workers = [1, 2].map(async () => {
      const w = ${worker(`${work} parentPort.postMessage(total);`)};
      return ${message};
    });
    ${work}
    console.log([...await Promise.all(workers), total].map((value) => value.toFixed(1)).join(" "));
  `);
  t.is(code, 0, stderr);
  t.is(stdout, "4000.0 4000.0 4000.0\n");
});

test("a worker terminated in mid-op leaves the others working", async (t) => {
  const { code, signal, stdout, stderr } = await program(`${load}
    for (let i = 0; i < 3; i++) {
      const w = ${worker(`
        ${longOp}
        llm.ones([10]).data();
        parentPort.postMessage("started");
      `)};
      ${message};
      console.log(await w.terminate());
      console.log(await llm.softmax(llm.ones([4])).toArray());
    }
  `);
  t.is(signal, null);
  t.is(code, 0, stderr);
  t.is(stdout, "1\n[ 0.25, 0.25, 0.25, 0.25 ]\n".repeat(3));
});

test("the addon may be loaded in a terminated worker only", async (t) => {
  const { code, signal, stdout, stderr } = await program(`
    const w = ${worker(`${longOp} parentPort.postMessage("started");`)};
    ${message};
    await w.terminate();
    await new Promise((resolve) => setTimeout(resolve, 300));
    console.log("alive");
  `);
  t.is(signal, null);
  t.is(code, 0, stderr);
  t.is(stdout, "alive\n");
});

test("a worker ends by itself with live tensors and queued ops", async (t) => {
  const { code, stdout, stderr } = await program(`
    const w = ${worker(`globalThis.x = llm.ones([10]); ${longOp}`)};
    console.log(await new Promise((resolve) => w.once("exit", resolve)));
  `);
  t.is(code, 0, stderr);
  t.is(stdout, "0\n");
});

test("many workers come and go", async (t) => {
  const { code, stdout, stderr } = await program(
    `
    let sum = 0;
    for (let i = 0; i < 8; i++) {
      const w = ${worker("parentPort.postMessage(await llm.full([1], 3).item());")};
      sum += ${message};
      await w.terminate();
    }
    console.log(sum);
  `,
  );
  t.is(code, 0, stderr);
  t.is(stdout, "24\n");
});

test("a tensor of another thread is refused", async (t) => {
  const { code, stdout, stderr } = await program(`${load}
    const w = ${worker(`
      globalThis.x = llm.ones([10]);
      parentPort.postMessage(x.handle);
      setInterval(() => {}, 1000);
    `)};
    const handle = ${message};
    for (let i = 0; i < 5; i++) llm.ones([10]);
    const foreign = new llm.Tensor(handle, "float32", [10]);
    for (const use of [() => llm.softmax(foreign), () => foreign.data()])
      try {
        await use();
      } catch (error) {
        console.log(error.name, error.message);
      }
    await w.terminate();
  `);
  t.is(code, 0, stderr);
  t.is(
    stdout,
    ["softmax: x", "data: the tensor"]
      .map(
        (what) =>
          `UsageError ${what} is not a live tensor of this thread (disposed, or of another worker)\n`,
      )
      .join(""),
  );
});
