import { open } from "node:fs/promises";
import { ConfigError } from "../../errors.js";
import { fileFault } from "../files/file-fault.js";
import { openArrow } from "../formats/arrow.js";
import { type DelimitedFormat, openDelimited } from "../formats/delimited.js";
import { openJsonLines } from "../formats/json-lines.js";
import { openParquet } from "../formats/parquet.js";
import type { ReaderOptions, RowReader } from "../formats/row.js";

const formats = ["csv", "tsv", "jsonl", "parquet", "arrow"] as const;
/** What a table may be written in. */
export type TableFormat = (typeof formats)[number];

/** A file with a table, or several that make one. Text may be in gzip. */
export interface TableFile {
  /** A path, or several, read in their order. */
  file: string | readonly string[];
  /** Default: told from the file's first bytes (Parquet, Arrow), or from its name; `csv` where a separator is given. */
  format?: TableFormat | undefined;
  /** Between fields of delimited text: one or more characters. Default: `,`, and a tab for `tsv`. */
  separator?: string | undefined;
  /** Names of the columns of delimited text: in the first line (`true`), none, so that columns go by position from 0, or these. Default: `true`. */
  header?: boolean | readonly string[] | undefined;
  /** Of delimited text. Default: UTF-8. */
  encoding?: DelimitedFormat["encoding"];
  /** Whether fields of delimited text may be in quotes. Without, a quote is a character like any other. */
  quotes?: DelimitedFormat["quotes"];
}

const extensions: Readonly<Record<string, TableFormat>> = {
  csv: "csv",
  tsv: "tsv",
  tab: "tsv",
  // The atomic files of RecBole.
  inter: "tsv",
  item: "tsv",
  user: "tsv",
  json: "jsonl",
  jsonl: "jsonl",
  ndjson: "jsonl",
  parquet: "parquet",
  pq: "parquet",
  arrow: "arrow",
  arrows: "arrow",
  feather: "arrow",
  ipc: "arrow",
};

/** Opens a file in the format that the options or the file itself name. */
export async function openFile(
  path: string,
  file: Omit<TableFile, "file">,
  options: ReaderOptions,
): Promise<RowReader> {
  const format = file.format ?? (await formatOf(path, file));
  const { separator, header, encoding, quotes } = file;
  if (format === "csv" || format === "tsv") {
    const usual = format === "tsv" ? "\t" : ",";
    return openDelimited(
      path,
      { separator: separator ?? usual, header, encoding, quotes },
      options,
    );
  }
  if ((separator ?? header ?? encoding ?? quotes) !== undefined) {
    throw new ConfigError(
      `${path}: separator, header, encoding and quotes are for delimited text, not ${format}`,
    );
  }
  if (format === "jsonl") return openJsonLines(path, { requireColumns: true }, options);
  return format === "parquet" ? openParquet(path, options) : openArrow(path, options);
}

async function formatOf(
  path: string,
  { separator }: Omit<TableFile, "file">,
): Promise<TableFormat> {
  const start = await firstBytes(path);
  if (start.startsWith("PAR1")) return "parquet";
  if (start.startsWith("ARROW1")) return "arrow";
  const extension = /\.([a-z]+)$/i.exec(path.replace(/\.gz$/i, ""))?.[1]?.toLowerCase() ?? "";
  const format = Object.hasOwn(extensions, extension) ? extensions[extension] : undefined;
  if (format !== undefined) return format;
  if (separator !== undefined) return "csv";
  throw new ConfigError(
    `${path}: its name does not tell its format; give the format (${formats.join(", ")}) or the separator`,
  );
}

async function firstBytes(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
      return buffer.toString("latin1", 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileFault(error, path, "read");
  }
}
