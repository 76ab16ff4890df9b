/** Does a task of `bench -- llm` twice and prints by how much the process has grown: `llm-memory.ts 15M float32 0`. */
import { taskWork } from "./llm.js";
import { type Dtype, makeDecoder, type Size } from "./llm-work.js";
import { residentPeak } from "./resident.js";

const [size, dtype, task] = process.argv.slice(2) as [Size, Dtype, string];
const before = residentPeak();
const decoder = makeDecoder(size, dtype);
const work = await taskWork(Number(task), decoder);
for (let i = 0; i < 2; i++) (await work.run()).dispose();
const after = residentPeak();
console.log(after === undefined || before === undefined ? "null" : after - before);
