import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { exitCodes } from "../exit-code.js";
import { examples } from "../help.js";
import { count, visible } from "../text.js";

/** `user-llm data validate`: whether a prepared folder keeps all its promises. */
export function addValidateCommand(data: CommandUnknownOpts, cli: Cli): void {
  data
    .command("validate")
    .description("check every byte and value of prepared data; exit code 3 if something is wrong")
    .argument("<folder>", "a prepared folder")
    .addHelpText("after", examples("user-llm data validate prepared/ml-20m"))
    .action(
      cli.action(async ({ signal, onProgress }, folder, _options) => {
        const { validate } = await import("../../data/inspect/validate.js");
        const problems = await validate(folder, { signal, onProgress });
        const valid = problems.length === 0;
        const lines = problems.map(({ file, where, what, rows }) => {
          const place = where === null ? file : `${file}, ${where}`;
          const others = rows > 1 ? ` (${count(rows)} rows)` : "";
          return `${visible(`${place}: ${what}${others}`)}\n`;
        });
        return {
          document: { folder, valid, problems },
          text: valid ? `${visible(folder)}: no problems\n` : lines.join(""),
          exitCode: valid ? exitCodes.ok : exitCodes.data,
        };
      }),
    );
}
