import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./action.js";
import { exitCodes } from "./exit-code.js";
import { examples } from "./help.js";

const buildScript = fileURLToPath(new URL("../../scripts/build-native.mjs", import.meta.url));

/** `user-llm build`: compiles the addon on this machine, where no prebuilt binary fits it. */
export function addBuildCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("build")
    .description("build the native addon from source (needs CMake and a C++20 compiler)")
    .option("--debug", "without optimisation, with debug symbols")
    .option("--if-stale", "do nothing when the binary is up to date")
    .addHelpText("after", examples("user-llm build", "user-llm build --if-stale"))
    .action(
      cli.action(async ({ signal }, { debug, ifStale }: { debug?: true; ifStale?: true }) => {
        const flags = [debug && "--debug", ifStale && "--if-stale"];
        const args = [buildScript, ...flags.filter((flag) => flag !== undefined)];
        // The compiler's output is for people: all of it goes to stderr.
        const child = spawn(process.execPath, args, { stdio: ["inherit", 2, 2] });
        signal.addEventListener("abort", () => child.kill());
        const [status] = (await once(child, "close")) as [number | null];
        signal.throwIfAborted();
        const built = status === 0;
        return { document: { built }, exitCode: built ? exitCodes.ok : exitCodes.failure };
      }),
    );
}
