import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./action.js";
import { addDownloadCommand } from "./data/download.js";
import { addInfoCommand } from "./data/info.js";
import { addPrepareCommand } from "./data/prepare.js";
import { addSynthCommand } from "./data/synth.js";
import { addValidateCommand } from "./data/validate.js";
import { examples } from "./help.js";

/** `user-llm data ...`: raw files to prepared folders, and what is in those. */
export function addDataCommand(program: CommandUnknownOpts, cli: Cli): void {
  const data = program
    .command("data")
    .description("download, prepare, inspect and check data")
    .addHelpText(
      "after",
      examples(
        "user-llm data prepare --source movielens --input ml-latest-small --out prepared/ml-small",
        "user-llm data info prepared/ml-small",
      ),
    );
  addDownloadCommand(data, cli);
  addPrepareCommand(data, cli);
  addInfoCommand(data, cli);
  addValidateCommand(data, cli);
  addSynthCommand(data, cli);
}
