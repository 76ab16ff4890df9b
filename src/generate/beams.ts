import type { GenerateSettings } from "./options.js";

/** An answer under way: its last token, and the beam it came from. */
export interface Beam {
  readonly id: number;
  /** The model's, of the token. */
  readonly logProbability: number;
  /** Sum over all tokens, of what the tokens were chosen by. */
  readonly total: number;
  readonly before: Beam | undefined;
}

/** A token that a beam could go on with. */
export interface Candidate extends Beam {
  /** Of the beam, among those under way. */
  readonly parent: number;
}

/** A whole answer. */
export interface FinishedBeam {
  readonly beam: Beam;
  /** `total / length ** lengthPenalty` */
  readonly score: number;
}

/**
 * The beams of one prompt: those under way, and the best whole answers so far.
 *
 * Step by step as transformers does it, so that the answers are the same: candidates are compared by their sums; a whole
 * answer counts only if it is among the `beams` best candidates; scores are float32.
 */
export class Beams {
  /** Best first. */
  #running: readonly Candidate[] = [];
  /** Best first. */
  #finished: readonly FinishedBeam[] = [];
  #length = 0;
  #done = false;

  /**
   * @param limit   tokens of an answer at most
   * @param isWhole whether an answer ends with its last token, other than by its length
   */
  constructor(
    readonly settings: GenerateSettings,
    readonly limit: number,
    readonly isWhole: (beam: Beam) => boolean,
  ) {}

  /** Best first; none before the first step. */
  get running(): readonly Candidate[] {
    return this.#running;
  }

  /** Best first. */
  get finished(): readonly FinishedBeam[] {
    return this.#finished;
  }

  get done(): boolean {
    return this.#done;
  }

  /** Takes the next step. @param candidates of all beams under way, in their order */
  advance(candidates: readonly Candidate[]): void {
    const { beams, lengthPenalty, earlyStopping } = this.settings;
    this.#length += 1;
    const best = candidates
      .toSorted((a, b) => b.total - a.total)
      .slice(0, keptCandidates(this.settings));
    const whole = best.map((beam) => this.#length === this.limit || this.isWhole(beam));
    this.#running = best.filter((_, i) => !whole[i]).slice(0, beams);
    const divisor = this.#length ** lengthPenalty;
    const more = best
      .filter((_, i) => whole[i] && i < beams)
      .map((beam) => ({ beam, score: Math.fround(beam.total / divisor) }));
    this.#finished = [...this.#finished, ...more].sort((a, b) => b.score - a.score).slice(0, beams);
    if (this.#finished.length === beams)
      this.#done = earlyStopping === true || this.#bestPossible() <= this.#finished.at(-1)!.score;
    this.#done ||= this.#running.length === 0;
  }

  /** What the best beam under way may score. */
  #bestPossible(): number {
    const { lengthPenalty, earlyStopping } = this.settings;
    const length = earlyStopping === "never" && lengthPenalty > 0 ? this.limit : this.#length;
    const [best] = this.#running;
    return best ? Math.fround(best.total / length ** lengthPenalty) : Number.NEGATIVE_INFINITY;
  }
}

/** Enough that `beams` are left, whatever end tokens are among them. */
export const keptCandidates = ({ beams, endTokens }: GenerateSettings): number =>
  Math.max(2, 1 + endTokens.size) * beams;

/** The tokens of an answer, in order. */
export function tokensOf(beam: Beam): Beam[] {
  const tokens: Beam[] = [];
  for (let at: Beam | undefined = beam; at; at = at.before) tokens.push(at);
  return tokens.reverse();
}
