import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { examples } from "../help.js";
import { wholeOption } from "../size.js";
import { describeInfo } from "./info-text.js";

/** `user-llm data info`: what prepared data is like. */
export function addInfoCommand(data: CommandUnknownOpts, cli: Cli): void {
  data
    .command("info")
    .description("describe prepared data: counts, histories, popularity, ties, titles, texts")
    .argument("<folder>", "a prepared folder")
    .option("--window-length <events>", "windows to count (default: 50)", wholeOption(1))
    .addHelpText(
      "after",
      examples("user-llm data info prepared/ml-20m", "user-llm data info prepared/ml-20m --json"),
    )
    .action(
      cli.action(async ({ signal, onProgress, colours }, folder, { windowLength }) => {
        const [{ PreparedData }, { info }] = await Promise.all([
          import("../../data/prepared/prepared-data.js"),
          import("../../data/inspect/info.js"),
        ]);
        const prepared = await PreparedData.open(folder);
        try {
          const found = await info(prepared, { windowLength, signal, onProgress });
          return { document: { folder, ...found }, text: describeInfo(found, colours) };
        } finally {
          prepared.close();
        }
      }),
    );
}
