import { DataError } from "../../errors.js";
import { ByteSource } from "./byte-source.js";
import { jsonFault } from "./json-fault.js";
import { JsonLinesScanner } from "./json-lines-scanner.js";
import { parsePythonLiteral } from "./python-literal.js";
import type { ReaderOptions, RowReader } from "./row.js";
import { TextReader } from "./text-reader.js";
import { TextWindow } from "./text-window.js";

export interface JsonLinesFormat {
  /** `python`: every line is a Python dictionary, as in the metadata of Amazon Reviews 2014. Default: `json`. */
  syntax?: "json" | "python" | undefined;
  /** Whether a column that no record has is an error, which shows once all have been read. Default: false. */
  requireColumns?: boolean | undefined;
  /** Most bytes of a line. Default: 8 MiB. */
  longestLine?: number | undefined;
  /** Bytes read at once. Default: 256 KiB. */
  blockBytes?: number | undefined;
}

/** Of the file's beginning, looked at to tell lines of JSON from one piece of it. */
const headBytes = 256;

/**
 * Reads a file with one object a line, as it is or in gzip. UTF-8; blank lines are passed over.
 *
 * A column is a name, or a path `a.b` of names and positions in lists. Any may be missing in any record, so
 * asking for a column that is nowhere is no error but where `requireColumns` says so.
 *
 * @throws DataError when the file cannot be read, or begins with a list
 */
export async function openJsonLines(
  path: string,
  format: JsonLinesFormat,
  options: ReaderOptions,
): Promise<RowReader> {
  const source = await ByteSource.open(path, { ...options, blockBytes: format.blockBytes });
  try {
    const window = await TextWindow.open(source, "utf8", format.longestLine);
    await checkStart(window);
    const parse = format.syntax === "python" ? parsePythonLiteral : parseJson;
    const { requireColumns = false } = format;
    return new TextReader(new JsonLinesScanner(window, parse, requireColumns, options.onError));
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** @throws DataError for a file that is one piece of JSON, not lines of it */
async function checkStart(window: TextWindow): Promise<void> {
  while (!window.ended && window.end - window.start < headBytes) await window.more();
  const head = window.text(window.start, Math.min(window.end, window.start + headBytes));
  const [, list, object] = /^\s*(?:(\[)|(\{[ \t\r]*\n))/.exec(head) ?? [];
  if (list === undefined && object === undefined) return;
  const got =
    list === undefined ? "an object over several lines" : "a file that begins with a list";
  const rule = "expected an object on every line (JSON lines)";
  throw new DataError(`${window.source.name}: ${rule}, got ${got}`);
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw jsonFault(line);
  }
}
