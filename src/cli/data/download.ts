import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Download } from "../../data/download/download.js";
import type { Cli, Context, Result } from "../action.js";
import { examples } from "../help.js";
import { table } from "../table.js";
import { bytes, visible } from "../text.js";

/** `user-llm data download`: public data sets from their publishers. */
export function addDownloadCommand(data: CommandUnknownOpts, cli: Cli): void {
  data
    .command("download")
    .description("bring a public data set from its publisher, checked and unpacked")
    .argument("[name]", "as ml-20m; without it, the data sets there are")
    .option("--out <folder>", "folder in which the data gets a folder of its own name", "raw")
    .option("--category <name>", "of Amazon Reviews, as Gift_Cards")
    .option("--state <name>", "of Google Local, as New_York")
    .option("--url <address>", "a mirror: of the file, or of its folder, ending in /; a path too")
    .option("--checksum <sum>", "md5:... or sha256:..., in place of the publisher's")
    .option("--offline", "use no network (also: USER_LLM_OFFLINE=1)")
    .addHelpText(
      "after",
      examples(
        "user-llm data download",
        "user-llm data download ml-20m --out raw",
        "user-llm data download amazon-2023 --category Gift_Cards --out raw",
        "user-llm data download ml-1m --out raw --url https://mirror.example.org/ml-1m.zip",
      ),
    )
    .action(
      cli.action((context, name, flags) =>
        name === undefined ? listDatasets() : downloadData(context, name, flags),
      ),
    );
}

interface DownloadFlags {
  out: string;
  category?: string | undefined;
  state?: string | undefined;
  url?: string | undefined;
  checksum?: string | undefined;
  /** True, or undefined: then the environment decides. */
  offline?: boolean | undefined;
}

async function listDatasets(): Promise<Result> {
  const { downloadableDatasets } = await import("../../data/download/datasets.js");
  const datasets = downloadableDatasets.map(({ name, title, licence, page, parts }) => ({
    name,
    title,
    licence,
    page,
    parts,
  }));
  const rows = datasets.map(({ name, title, parts }) => [
    name,
    title,
    parts === undefined ? undefined : `--${parts.option}, one of ${parts.names.length}`,
  ]);
  return { document: { datasets }, text: table(rows) };
}

async function downloadData(
  { env, signal, onProgress, note }: Context,
  name: string,
  flags: DownloadFlags,
): Promise<Result> {
  const [{ datasetNamed }, { download }] = await Promise.all([
    import("../../data/download/choose.js"),
    import("../../data/download/download.js"),
  ]);
  const { title, licence } = datasetNamed(name);
  note(`${title}; licence: ${licence}`);
  const done = await download(name, { ...flags, env, signal, onProgress });
  return { document: done, text: describe(done) };
}

function describe({ folder, fresh, files, downloads, citation }: Download): string {
  const lines = [`${folder}: ${files.map(({ name }) => name).join(", ")}`];
  if (!fresh) lines.push("it was there already");
  for (const { name, bytes: size, sha256, checksum } of downloads) {
    const checked = checksum ?? `the publisher gives no checksum; sha256:${sha256}`;
    lines.push(`${name}: ${bytes(size)}, ${checked}`);
  }
  return [...lines, `cite: ${citation}`].map((line) => `${visible(line)}\n`).join("");
}
