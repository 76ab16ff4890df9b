import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../action.js";
import { examples } from "../help.js";

/** `user-llm config schema`: for editors, which complete and check with it. */
export function addConfigSchemaCommand(config: CommandUnknownOpts, cli: Cli): void {
  config
    .command("schema")
    .description("print the JSON schema of configurations (draft 2020-12)")
    .addHelpText("after", examples("user-llm config schema > user-llm.schema.json"))
    .action(
      cli.action(async (_context, _options) => {
        const { jsonSchema } = await import("../../config/index.js");
        const { configSchema } = await import("../../recipes/config.js");
        const schema = jsonSchema(configSchema);
        return { document: { schema }, text: `${JSON.stringify(schema, null, 2)}\n` };
      }),
    );
}
