import { createHash, type Hash } from "node:crypto";

/** What texts become under a tokenizer has a name: the hash of both. */
export class TextHash {
  readonly #hash: Hash = createHash("sha256");
  #count = 0;

  /** @param fingerprint of the tokenizer and its options */
  constructor(fingerprint: string) {
    this.#hash.update(`${fingerprint}\n`);
  }

  add(text: string): void {
    const bytes = Buffer.from(text);
    // With their lengths: "ab", "c" are other texts than "a", "bc".
    this.#hash.update(`${bytes.length} `).update(bytes);
    this.#count++;
  }

  finish(): { key: string; count: number } {
    return { key: this.#hash.update(`${this.#count} texts`).digest("hex"), count: this.#count };
  }
}
