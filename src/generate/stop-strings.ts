/** Looks for texts in a text that comes in parts, and holds back what might be the beginning of one. */
export class StopStrings {
  #held = "";
  #found = false;

  constructor(readonly stops: readonly string[]) {}

  /** Whether one has come. */
  get found(): boolean {
    return this.#found;
  }

  /** Takes the next part; returns the text that is certain now: up to the first stop, if one has come. */
  push(part: string): string {
    if (this.stops.length === 0 || this.#found) return this.#found ? "" : part;
    const text = this.#held + part;
    const places = this.stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    this.#found = places.length > 0;
    const end = this.#found ? Math.min(...places) : text.length - this.#possible(text);
    this.#held = this.#found ? "" : text.slice(end);
    return text.slice(0, end);
  }

  /** What is left when no more text comes. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** Length of the longest end of `text` that a stop begins with. */
  #possible(text: string): number {
    let longest = 0;
    for (const stop of this.stops)
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--)
        if (text.endsWith(stop.slice(0, length))) longest = length;
    return longest;
  }
}
