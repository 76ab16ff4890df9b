import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";

const buildScript = fileURLToPath(new URL("../../scripts/build-native.mjs", import.meta.url));

/** `user-llm build`: compiles the addon on this machine, where no prebuilt binary fits it. */
export function addBuildCommand(program: Command): void {
  program
    .command("build")
    .description("build the native addon from source (needs CMake and a C++20 compiler)")
    .option("--debug", "without optimisation, with debug symbols")
    .option("--if-stale", "do nothing when the binary is up to date")
    .action((options: { debug?: true; ifStale?: true }) => {
      const flags = [options.debug && "--debug", options.ifStale && "--if-stale"];
      const args = [buildScript, ...flags.filter((flag) => flag !== undefined)];
      process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
    });
}
