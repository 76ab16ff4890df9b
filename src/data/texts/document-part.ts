/** A part of a document that is short enough to work on at once. */
export interface DocumentPart {
  readonly text: string;
  /** Whether the document ends with it. */
  readonly last: boolean;
}

/** Characters of a part, about. */
const partLength = 1 << 14;
/** Of a part without any border. */
const longestPart = 1 << 20;

const isWhite = /^\p{White_Space}$/u;

/**
 * Cuts a text that comes in blocks into documents, and long documents into parts. A part begins with a single space or
 * line break between two words, where tokenizers that see words cut anyway; where there is none for a million characters,
 * anywhere between two characters.
 *
 * @param separator what stands between documents, with white space around it that belongs to none; without, the text is
 * one document
 * @returns no documents of white space alone
 */
export async function* documentParts(
  blocks: AsyncIterable<string> | Iterable<string>,
  separator?: string | undefined,
): AsyncGenerator<DocumentPart> {
  let waiting = "";
  /** Whether parts of the document have gone out. */
  let begun = false;
  const trimmed = (text: string): string => (separator === undefined ? text : text.trimStart());
  function* end(rest: string): Generator<DocumentPart> {
    const text = begun ? rest : trimmed(rest);
    const last = separator === undefined ? text : text.trimEnd();
    if (begun || /\P{White_Space}/u.test(last)) yield* inParts(last);
    begun = false;
  }
  for await (const block of blocks) {
    waiting += block;
    if (separator !== undefined) {
      const documents = waiting.split(separator);
      waiting = documents.pop()!;
      for (const document of documents) yield* end(document);
    }
    let start = 0;
    while (waiting.length - start > 2 * partLength) {
      const border = borderIn(waiting, start);
      if (border === undefined) break;
      const text = waiting.slice(start, border);
      yield { text: begun ? text : trimmed(text), last: false };
      begun = true;
      start = border;
    }
    waiting = waiting.slice(start);
  }
  yield* end(waiting);
}

/** The rest of a document in parts, at least one. */
function* inParts(text: string): Generator<DocumentPart> {
  let start = 0;
  while (text.length - start > 2 * partLength) {
    const border = borderIn(text, start);
    if (border === undefined) break;
    yield { text: text.slice(start, border), last: false };
    start = border;
  }
  yield { text: text.slice(start), last: true };
}

/** Where a part that begins at `start` may end; undefined where that is not known yet. */
function borderIn(text: string, start: number): number | undefined {
  const wanted = start + partLength;
  for (let at = wanted; at > start; at--) if (isBorder(text, at)) return at;
  const most = Math.min(text.length - 1, start + longestPart);
  for (let at = wanted + 1; at < most; at++) if (isBorder(text, at)) return at;
  if (most < start + longestPart) return undefined;
  const isInside = /[\uDC00-\uDFFF]/.test(text[most]!);
  return isInside ? most - 1 : most;
}

/** Whether a single space or line break stands at a place, with words before and after it. */
function isBorder(text: string, at: number): boolean {
  const sign = text[at];
  return (
    (sign === " " || sign === "\n") && !isWhite.test(text[at - 1]!) && !isWhite.test(text[at + 1]!)
  );
}
