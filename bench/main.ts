/**
 * Benchmarks.
 *
 *     npm run bench -- ops [--filter TEXT] [--threads N] [--python PATH] [--json FILE]
 *     npm run bench -- fused [--filter TEXT] [--threads N] [--python PATH] [--json FILE]
 *     npm run bench -- stage1 [--steps N] [--threads N] [--python PATH] [--json FILE]
 *     npm run bench -- llm [--quick] [--filter TEXT] [--threads N] [--python PATH] [--json FILE]
 *     npm run bench -- data [--quick] [--rounds N] [--cache FOLDER] [--json FILE]
 *
 *     --filter   only cases whose "op · case" contains TEXT
 *     --threads  of both sides; default: what the machine allows
 *     --python   a Python with torch: compares with PyTorch, run by run in turns
 *     --steps    training steps that are timed; default 30
 *     --quick    data: a million events instead of twenty; llm: the small model, fewer samples
 *     --rounds   how often each piece of work is done; default 3
 *     --cache    where the generated files stay; default: user-llm-bench in the system's temporary folder
 *     --json     where the results go; default: bench/results/<bench>-<isa>.json when nothing is filtered
 */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    filter: { type: "string", default: "" },
    threads: { type: "string" },
    python: { type: "string" },
    steps: { type: "string", default: "30" },
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    cache: { type: "string" },
  },
});
if (values.threads) process.env.USER_LLM_THREADS = values.threads; // read when the library is loaded

switch (positionals[0]) {
  case "ops": {
    const { benchOps } = await import("./ops.js");
    await benchOps(values);
    break;
  }
  case "fused": {
    const { benchFused } = await import("./fused.js");
    await benchFused(values);
    break;
  }
  case "stage1": {
    const { benchStage1 } = await import("./stage1.js");
    await benchStage1({ ...values, steps: Number(values.steps) });
    break;
  }
  case "llm": {
    const { benchLlm } = await import("./llm.js");
    await benchLlm(values);
    break;
  }
  case "data": {
    const { benchData } = await import("./data.js");
    await benchData({ ...values, rounds: Number(values.rounds) });
    break;
  }
  default:
    console.error(
      `there is no bench ${positionals[0] ?? ""}; there are: ops, fused, stage1, llm, data`,
    );
    process.exitCode = 2;
}
