import { createReadStream } from "node:fs";
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  type ParsedNode,
  parseDocument,
  visit,
} from "yaml";
import { ConfigError } from "../errors.js";
import { type ConfigPath, isConfigObject, keyFault } from "./keys.js";
import type { Layer } from "./layer.js";
import { nestingDepth } from "./yaml-depth.js";

const mostBytes = 1_000_000;
/** Of all aliases (`*name`) together, in nodes: enough for sharing, too little for a bomb. */
const mostAliases = 100;
const mostDepth = 50;

/** Reads a configuration file: YAML 1.2, or JSON, which is a part of it. */
export async function readConfigFile(file: string): Promise<Layer> {
  const bytes = await readStart(file, mostBytes + 1).catch((cause: NodeJS.ErrnoException) => {
    throw new ConfigError(`${file}: cannot be read (${cause.code})`, { cause });
  });
  if (bytes.length > mostBytes) {
    throw new ConfigError(`${file}: a configuration has at most ${mostBytes} bytes, got more`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError(`${file}: is not UTF-8`, { cause });
  }
  return parseConfig(text, file);
}

/** The first bytes of a file. The size of a pipe or a device says nothing, and it need not end. */
async function readStart(file: string, most: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(file, { end: most - 1 })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * A configuration from YAML.
 *
 * @param name of the file, for messages
 * @throws ConfigError with line and column
 */
export function parseConfig(text: string, name: string): Layer {
  const lines = new LineCounter();
  const document = parseSafely(text, name, lines);
  const value = toPlain(document, name) ?? {};
  if (!isConfigObject(value)) {
    throw new ConfigError(`${name}: expected a mapping of options`);
  }
  return {
    value,
    where: (path) => {
      const node = nodeAt(document, path);
      return node?.range ? place(name, lines, node.range[0]) : name;
    },
  };
}

/** A single value as `--set` and environment variables write it: a YAML scalar, or a list or mapping in one line. */
export function parseValue(text: string, name: string): unknown {
  return toPlain(parseSafely(text, name, new LineCounter()), name);
}

function parseSafely(text: string, name: string, lines: LineCounter): Document.Parsed {
  if (nestingDepth(text) > mostDepth) {
    throw new ConfigError(`${name}: is nested too deeply, more than ${mostDepth} levels`);
  }
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: false };
  const document = parseDocument(text, options);
  for (const { message, pos } of [...document.errors, ...document.warnings]) {
    throw new ConfigError(`${place(name, lines, pos[0])}: ${sentence(message)}`);
  }
  visit(document, {
    Pair(_, { key }) {
      const fault = keyFault(isScalar(key) ? key.value : key);
      if (fault === undefined) return;
      const start = isNode(key) ? key.range?.[0] : undefined;
      throw new ConfigError(`${start === undefined ? name : place(name, lines, start)}: ${fault}`);
    },
  });
  return document;
}

function toPlain(document: Document.Parsed, name: string): unknown {
  try {
    return document.toJS({ maxAliasCount: mostAliases });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new ConfigError(`${name}: too many aliases (*name)`, { cause: error });
  }
}

function place(name: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${name}, line ${line}, column ${col}`;
}

/** The node at a path; the innermost one on the way where the path leads out of the file. */
function nodeAt(document: Document.Parsed, path: ConfigPath): ParsedNode | null {
  let node = document.contents;
  for (const key of path) {
    const parent: unknown = isAlias(node) ? node.resolve(document) : node;
    if (isMap<ParsedNode, ParsedNode | null>(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === key);
      if (pair === undefined) return node;
      node = key === path.at(-1) ? pointed(pair) : (pair.value ?? pair.key);
    } else if (isSeq<ParsedNode>(parent) && typeof key === "number" && parent.items[key]) {
      node = parent.items[key];
    } else return node;
  }
  return node;
}

/** What to point at: the value, but the key of what takes several lines or has no value. */
function pointed({ key, value }: Pair<ParsedNode, ParsedNode | null>): ParsedNode {
  const isShown = value !== null && !isMap(value) && value.range[0] < value.range[1];
  return isShown ? value : key;
}

/** The parser's messages have several lines and end with a colon or a full stop. */
const sentence = (message: string): string =>
  message
    .split("\n", 1)[0]!
    .replace(/[.:]$/, "")
    .replace(/^./, (letter) => letter.toLowerCase());
