/** How a process that computes ends. */
import test from "ava";
import { load, longOp, program } from "./program.js";

test("ends by itself with live tensors", async (t) => {
  const { code, stdout } = await program(`${load}
    globalThis.x = llm.softmax(llm.ones([1000, 100]));
    console.log("end");
  `);
  t.is(code, 0);
  t.is(stdout, "end\n");
});

test("process.exit in mid-op keeps its exit code", async (t) => {
  const { code, signal, stderr } = await program(`${load}
    ${longOp}
    setTimeout(() => process.exit(7), 50);
  `);
  t.is(signal, null);
  t.is(code, 7, stderr);
});

test("process.exit right after a call keeps its exit code", async (t) => {
  const { code, stderr } = await program(`${load}
    ${longOp}
    process.exit(8);
  `);
  t.is(code, 8, stderr);
});

test("an uncaught exception in mid-op ends the process as usual", async (t) => {
  const { code, signal, stderr } = await program(`${load}
    ${longOp}
    throw new Error("no reason");
  `);
  t.is(signal, null);
  t.is(code, 1);
  t.regex(stderr, /no reason/);
});

test("a pending data() keeps the process alive until it has resolved", async (t) => {
  const { code, stdout } = await program(`${load}
    const x = llm.ones([1000, 1000]);
    const y = llm.matmul(llm.matmul(x, x), x);
    y.data().then(([first]) => console.log(first));
  `);
  t.is(code, 0);
  t.is(stdout, "1000000\n");
});

test("ops that nobody waits for do not keep the process alive", async (t) => {
  const { code, signal } = await program(`${load}
    ${longOp.repeat(20)}
  `);
  t.is(signal, null);
  t.is(code, 0);
});

test("tensors that nobody holds are released with the garbage", async (t) => {
  const { code, stdout, stderr } = await program(
    `${load}
    const before = llm.memory().tensors;
    for (let i = 0; i < 1000; i++) llm.zeros([100]);
    const made = llm.memory().tensors - before;
    for (let i = 0; i < 20 && llm.memory().tensors > before; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(made, llm.memory().tensors - before <= 1);
  `,
    { nodeArguments: ["--expose-gc"] },
  );
  t.is(code, 0, stderr);
  t.is(stdout, "1000 true\n");
});

test("memory of dropped tensors is found again without asking for it", async (t) => {
  const { code, stdout, stderr } = await program(
    `${load}
    for (let i = 0; i < 400; i++) {
      llm.zeros([1 << 20]);
      await new Promise(setImmediate);
    }
    console.log(llm.memory().peakBytes < 1e9);
  `,
  );
  t.is(code, 0, stderr);
  t.is(stdout, "true\n");
});

test("running out of memory is an error at the call, and the process goes on", async (t) => {
  const { code, stdout, stderr } = await program(
    `${load}
    const x = llm.ones([1_000_000]);
    try {
      llm.zeros([10_000_000]);
    } catch (error) {
      console.log(error.name, error.code, error.message);
    }
    x.dispose();
    const y = llm.full([2_000_000], 3);
    console.log((await y.data())[1_999_999], llm.memory().tensors);
  `,
    { env: { USER_LLM_MEMORY_LIMIT: "10000000" } },
  );
  t.is(code, 0, stderr);
  const [error, rest] = stdout.split("\n");
  t.regex(
    error!,
    /^NativeError ERR_OUT_OF_MEMORY .*out of memory: 40000000 bytes .* 10000000 bytes/,
  );
  t.is(rest, "3 1");
});

test("USER_LLM_SYNC=1 throws at the call", async (t) => {
  const { code, stdout, stderr } = await program(
    `${load}
    try {
      llm.embedding(llm.ones([5, 2]), llm.tensor([1, 5], { dtype: "int32" }));
    } catch (error) {
      console.log(error.name, error.code, error.message);
    }
    console.log(await llm.ones([1]).item());
  `,
    { env: { USER_LLM_SYNC: "1" } },
  );
  t.is(code, 0, stderr);
  t.regex(
    stdout,
    /^NativeError ERR_NATIVE cpu failed at op #\d+ embedding\(.*\[1\] = 5 must be in \[0, 5\)\n1\n$/,
  );
});

test("USER_LLM_CHECK=nan names the op that made the first NaN", async (t) => {
  const { code, stdout, stderr } = await program(
    `${load}
    const x = llm.tensor([[1, 2], [-Infinity, -Infinity]]);
    const y = llm.softmax(x);
    await llm.add(y, y).data().catch((error) => console.log(error.name, error.message));
  `,
    { env: { USER_LLM_CHECK: "nan" } },
  );
  t.is(code, 0, stderr);
  t.regex(
    stdout,
    /^NativeError .*softmax\(x \[2, 2\]\): made a NaN at element 2 of result \[2, 2\]/,
  );
});

test("USER_LLM_PROFILE=1 prints what the ops cost at the end", async (t) => {
  const body = `${load}
    const { printProfileAtExit } = await import(${JSON.stringify(new URL("../../src/tensor/profile.ts", import.meta.url).href)});
    printProfileAtExit();
    await llm.softmax(llm.ones([100, 100])).data();
    console.log("result");
  `;
  const profiled = await program(body, { env: { USER_LLM_PROFILE: "1" } });
  t.is(profiled.code, 0, profiled.stderr);
  t.is(profiled.stdout, "result\n");
  t.regex(profiled.stderr, /^op +calls +ms/m);
  t.regex(profiled.stderr, /^softmax +1 /m);
  t.is((await program(body)).stderr, "");
});

test("USER_LLM_NATIVE that does not exist is reported with what to do", async (t) => {
  const { code, stderr } = await program(load, { env: { USER_LLM_NATIVE: "/nowhere.node" } });
  t.is(code, 1);
  t.regex(stderr, /NativeError: no native library for .*\/nowhere\.node \(absent\)/);
});
