import type { Turns } from "../turns.js";
import type { Candidate } from "./merge-queue.js";
import { PairTable } from "./pair-table.js";

/** Words between two looks at the clock. */
const wordsAtOnce = 256;
const newsAtOnce = 1 << 14;

/** The different words of the texts, as tokens, and the pairs in them. */
export class Corpus {
  readonly pairs = new PairTable();
  /** Tokens of all words, each with the room that its bytes took. */
  #tokens = new Int32Array();
  /** Where each word begins. */
  readonly #starts: Float64Array;
  /** Tokens of each word. */
  readonly #lengths: Int32Array;
  /** How often each word comes. */
  readonly #counts: Float64Array;
  /** Words in which pairs have come up since they were last listed, with the pair. */
  readonly #news = { pairs: new Int32Array(1 << 10), words: new Int32Array(1 << 10), length: 0 };
  /** When each pair last came up, by its number; every look at a word is a moment. */
  #seen = new Float64Array(1 << 10);
  #moment = 0;
  /** Where the next word of a pair is listed, by its number; 0 between calls. */
  #next = new Float64Array();
  /** Lists of words, which candidates point into. */
  #lists = { words: new Int32Array(1 << 12), length: 0 };

  private constructor(words: number) {
    this.#starts = new Float64Array(words);
    this.#lengths = new Int32Array(words);
    this.#counts = new Float64Array(words);
  }

  /** @param tokenOfByte the token that each byte is at first */
  static async of(
    counts: ReadonlyMap<string, number>,
    tokenOfByte: Int32Array,
    turns: Turns,
  ): Promise<Corpus> {
    const corpus = new Corpus(counts.size);
    let [word, size] = [0, 0];
    for (const [text, count] of counts) {
      corpus.#starts[word] = size;
      corpus.#lengths[word] = Buffer.byteLength(text);
      corpus.#counts[word] = count;
      size += corpus.#lengths[word++]!;
    }
    corpus.#tokens = new Int32Array(size);
    word = 0;
    for (const text of counts.keys()) {
      let at = corpus.#starts[word]!;
      for (const byte of Buffer.from(text)) corpus.#tokens[at++] = tokenOfByte[byte]!;
      corpus.#countPairs(word++);
      if (word % wordsAtOnce === 0 && turns.over) await turns.next();
    }
    return corpus;
  }

  /** Makes one token of a pair, wherever it stands in the candidate's words. */
  async merge({ pair, from, to }: Candidate, token: number, turns: Turns): Promise<void> {
    const [left, right] = [this.pairs.left[pair]!, this.pairs.right[pair]!];
    for (let i = from; i < to; i++) {
      this.#mergeIn(this.#lists.words[i]!, left, right, token);
      if (i % wordsAtOnce === 0 && turns.over) await turns.next();
    }
  }

  /** Pairs that have come up since the last call, each with the words in which it did. */
  async takeCandidates(turns: Turns): Promise<Candidate[]> {
    const { pairs, words, length } = this.#news;
    this.#news.length = 0;
    if (this.#next.length < this.pairs.size) this.#next = new Float64Array(2 * this.pairs.size);
    const next = this.#next;
    const found: number[] = [];
    for (let i = 0; i < length; i++) {
      if (next[pairs[i]!]!++ === 0) found.push(pairs[i]!);
      if (i % newsAtOnce === 0 && turns.over) await turns.next();
    }
    const lists = this.#lists;
    if (lists.length + length > lists.words.length)
      lists.words = grown(lists.words, 2 * (lists.length + length));
    const candidates = found.map((pair): Candidate => {
      const from = lists.length;
      lists.length += next[pair]!;
      next[pair] = from;
      return { pair, count: this.pairs.counts[pair]!, from, to: lists.length };
    });
    for (let i = 0; i < length; i++) {
      lists.words[next[pairs[i]!]!++] = words[i]!;
      if (i % newsAtOnce === 0 && turns.over) await turns.next();
    }
    for (const pair of found) next[pair] = 0;
    return candidates.filter(({ count }) => count > 0);
  }

  #countPairs(word: number): void {
    this.#moment++;
    const start = this.#starts[word]!;
    const end = start + this.#lengths[word]!;
    for (let i = start + 1; i < end; i++)
      this.#change(this.#tokens[i - 1]!, this.#tokens[i]!, 1, word);
  }

  #mergeIn(word: number, left: number, right: number, token: number): void {
    this.#moment++;
    const tokens = this.#tokens;
    const start = this.#starts[word]!;
    const end = start + this.#lengths[word]!;
    let write = start;
    for (let read = start; read < end; write++) {
      if (tokens[read] !== left || read + 1 === end || tokens[read + 1] !== right) {
        tokens[write] = tokens[read++]!;
        continue;
      }
      tokens[write] = token;
      read += 2;
      if (write > start) {
        this.#change(tokens[write - 1]!, left, -1, word);
        this.#change(tokens[write - 1]!, token, 1, word);
      }
      if (read < end) {
        this.#change(right, tokens[read]!, -1, word);
        this.#change(token, tokens[read]!, 1, word);
      }
    }
    this.#lengths[word] = write - start;
  }

  /** A pair has come up in a word (1), or gone (-1). */
  #change(left: number, right: number, by: 1 | -1, word: number): void {
    const pair = this.pairs.numberOf(left, right);
    this.pairs.counts[pair]! += by * this.#counts[word]!;
    if (by < 0) return;
    if (pair >= this.#seen.length) this.#seen = grown(this.#seen, 2 * (pair + 1));
    if (this.#seen[pair] === this.#moment) return;
    this.#seen[pair] = this.#moment;
    const news = this.#news;
    if (news.length === news.words.length) {
      news.pairs = grown(news.pairs, 2 * news.length);
      news.words = grown(news.words, 2 * news.length);
    }
    news.pairs[news.length] = pair;
    news.words[news.length++] = word;
  }
}

function grown<Kind extends Int32Array | Float64Array>(array: Kind, length: number): Kind {
  const larger = new (array.constructor as new (length: number) => Kind)(length);
  larger.set(array);
  return larger;
}
