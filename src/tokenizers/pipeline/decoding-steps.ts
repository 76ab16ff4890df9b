import { bytesOfCharacters } from "./bytes.js";
import { cleanUp, finishedLength } from "./clean-up.js";
import type { DecodingStep } from "./decoding-step.js";

/** Tokens that are bytes. An incomplete character waits for its rest; a wrong one is U+FFFD. */
export function byteLevel(): DecodingStep {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push: (token) => [decoder.decode(bytesOfCharacters(token), { stream: true })],
    end: () => [decoder.decode()],
  };
}

const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;

/** Runs of `<0xE4>`: characters if the whole run is UTF-8, else U+FFFD for every byte. So a run waits for its end. */
export function byteFallback(): DecodingStep {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let bytes: number[] = [];
  const flush = (): string[] => {
    if (bytes.length === 0) return [];
    const run = Uint8Array.from(bytes);
    bytes = [];
    try {
      return [strict.decode(run)];
    } catch {
      return Array.from(run, () => "\uFFFD");
    }
  };
  return {
    push: (token) => {
      const byte = byteToken.exec(token)?.[1];
      if (byte === undefined) return [...flush(), token];
      bytes.push(Number.parseInt(byte, 16));
      return [];
    },
    end: flush,
  };
}

/** A step that treats the last token differently, so it is one behind. */
export function delayed(decode: (token: string, isLast: boolean) => string): DecodingStep {
  let waiting: string | undefined;
  return {
    push: (token) => {
      const before = waiting;
      waiting = token;
      return before === undefined ? [] : [decode(before, false)];
    },
    end: () => (waiting === undefined ? [] : [decode(waiting, true)]),
  };
}

/** A text in parts without some of its first and last characters, where those are `content`. */
export function strippedText(options: {
  content: string;
  start: number;
  stop: number;
}): DecodingStep {
  const { content, stop } = options;
  let start = options.start;
  let held = 0;
  const emit = (part: string): string[] => (part === "" ? [] : [part]);
  return {
    push: (part) => {
      let rest = part;
      while (start > 0 && rest !== "") {
        if (rest.startsWith(content)) {
          rest = rest.slice(content.length);
          start--;
        } else {
          start = 0;
        }
      }
      if (stop === 0) return emit(rest);
      const text = content.repeat(held) + rest;
      let end = text.length;
      held = 0;
      while (held < stop && end > 0 && text.endsWith(content, end)) {
        end -= content.length;
        held++;
      }
      return emit(text.slice(0, end));
    },
    end: () => [],
  };
}

/** Cleans a text up as it comes; see {@link cleanUp}. */
export function cleanedText(): DecodingStep {
  let waiting = "";
  return {
    push: (part) => {
      waiting += part;
      const end = finishedLength(waiting);
      const finished = waiting.slice(0, end);
      waiting = waiting.slice(end);
      return finished === "" ? [] : [cleanUp(finished)];
    },
    end: () => (waiting === "" ? [] : [cleanUp(waiting)]),
  };
}
