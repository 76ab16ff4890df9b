#!/usr/bin/env node
import { describeFailure } from "./failure.js";
import { processHost } from "./host.js";
import { main } from "./program.js";

// A closed pipe is seen by whoever writes; as an event it would end the process with a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.on("uncaughtException", (error) => {
  const { name, message, exitCode } = describeFailure(error);
  process.stderr.write(`${name}: ${message}\n`);
  if (process.env.USER_LLM_DEBUG === "1") console.error(error);
  process.exit(exitCode);
});

process.exitCode = await main(process.argv.slice(2), processHost);
