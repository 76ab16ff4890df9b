import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli, Context } from "./action.js";
import type { Check } from "./doctor/check.js";
import { exitCodes } from "./exit-code.js";
import { examples } from "./help.js";
import { visible } from "./text.js";

/** `user-llm doctor`: what is there, what is missing, and what to do about it. */
export function addDoctorCommand(program: CommandUnknownOpts, cli: Cli): void {
  program
    .command("doctor")
    .description("check this machine: Node, the native addon, memory, optional packages")
    .option("--measure", "also measure what the processor can do")
    .addHelpText("after", examples("user-llm doctor", "user-llm doctor --json"))
    .action(
      cli.action(async ({ colours }, { measure = false }) => {
        const { runChecks } = await import("./doctor/checks.js");
        const checks = await runChecks({ measure });
        const healthy = checks.every(({ status }) => status !== "fail");
        return {
          document: { healthy, checks },
          text: checks.map((check) => describe(check, colours)).join(""),
          exitCode: healthy ? exitCodes.ok : exitCodes.failure,
        };
      }),
    );
}

function describe(check: Check, colours: Context["colours"]): string {
  const { name, status, found, remedy } = check;
  const mark = {
    ok: colours.green("ok  "),
    warn: colours.yellow("warn"),
    fail: colours.red("fail"),
  }[status];
  const hint = remedy === undefined ? "" : `\n${" ".repeat(16)}${colours.dim("->")} ${remedy}`;
  return `${mark}  ${name.padEnd(10)}${visible(found)}${hint}\n`;
}
