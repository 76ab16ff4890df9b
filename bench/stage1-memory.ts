/** Trains for some steps and prints by how much the process has grown, in bytes: `stage1-memory.ts float32 5`. */
import type { Precision } from "../src/index.js";
import { residentPeak } from "./resident.js";
import { events, Trainer } from "./stage1-trainer.js";

const [precision, steps] = process.argv.slice(2) as [Precision, string];
const ids = events();
const before = residentPeak();
const trainer = new Trainer(ids, precision);
for (let i = 0; i < Number(steps); i++) {
  const loss = trainer.step();
  await loss.item();
  loss.dispose();
}
const after = residentPeak();
console.log(after === undefined || before === undefined ? "null" : after - before);
