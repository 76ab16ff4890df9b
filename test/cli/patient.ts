/** A command line whose only commands take very long. `tidy` stops when asked to, `stubborn` does not. */
import { setTimeout as sleep } from "node:timers/promises";
import { processHost } from "../../src/cli/host.js";
import { main } from "../../src/cli/program.js";

process.exitCode = await main(process.argv.slice(2), processHost, (program, cli) => {
  program.command("tidy").action(
    cli.action(async ({ signal, note }, _options) => {
      note("started");
      await sleep(1e6, undefined, { signal }).catch(() => sleep(50));
      note("tidied up");
      signal.throwIfAborted();
      return { document: {} };
    }),
  );
  program.command("stubborn").action(
    cli.action(async ({ note }, _options) => {
      note("started");
      await sleep(1e6);
      return { document: {} };
    }),
  );
});
