import { shown } from "./shown.js";

/** Text that breaks the rules of its syntax, and where. */
export class SyntaxFault extends Error {
  constructor(
    readonly expected: string,
    text: string,
    /** From 0. */
    readonly position: number,
  ) {
    const found = position < text.length ? shown(text.slice(position, position + 20)) : "the end";
    super(`${found} at character ${position + 1}`);
  }
}
