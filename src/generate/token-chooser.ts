import {
  argmax,
  concat,
  type Generator,
  gather,
  logSoftmax,
  noGrad,
  reshape,
  sample,
  slice,
  topK,
} from "../ops/index.js";
import { type Tensor, tidy } from "../tensor/index.js";
import type { ChosenToken } from "./continuation.js";
import type { GenerateSettings } from "./options.js";
import { readAll } from "./read-all.js";
import { RepetitionPenalty } from "./repetition-penalty.js";

/** Chooses the next token of each sequence: the most probable one, or one that is drawn. */
export class TokenChooser implements Disposable {
  readonly #settings: GenerateSettings;
  readonly #penalty: RepetitionPenalty | undefined;
  /** One for each sequence, so that it draws the same whoever is beside it. */
  #generators: readonly Generator[];

  /**
   * @param prompts    of the sequences
   * @param generators one for each sequence; disposed with the chooser
   * @param vocabulary of the model
   */
  constructor(
    settings: GenerateSettings,
    prompts: readonly Int32Array[],
    generators: readonly Generator[],
    vocabulary: number,
  ) {
    this.#settings = settings;
    this.#generators = generators;
    const { repetitionPenalty } = settings;
    if (repetitionPenalty !== 1)
      this.#penalty = new RepetitionPenalty(repetitionPenalty, prompts, vocabulary);
  }

  /** Waits for the device. `logits [sequences, vocabulary]`. */
  async choose(logits: Tensor): Promise<ChosenToken[]> {
    const { logProbabilities, topLogProbabilities } = this.#settings;
    const made = tidy(() =>
      noGrad(() => {
        const ids = this.#ids(logits);
        if (!logProbabilities && topLogProbabilities === 0) return { ids };
        const all = logSoftmax(logits);
        const chosen = gather(all, reshape(ids, [ids.shape[0]!, 1]), 1);
        return { ids, chosen, ...(topLogProbabilities > 0 && topK(all, topLogProbabilities)) };
      }),
    );
    const { ids, chosen, values, indices } = await readAll(made);
    return Array.from(ids!, (id, row) => ({
      id,
      ...(logProbabilities && { logProbability: chosen![row] }),
      ...(values && {
        top: Array.from(
          values.subarray(row * topLogProbabilities, (row + 1) * topLogProbabilities),
          (logProbability, k) => ({ id: indices![row * topLogProbabilities + k]!, logProbability }),
        ),
      }),
    }));
  }

  /** Leaves the sequences at `indices`. */
  select(indices: readonly number[]): void {
    const left = new Set(indices.map((i) => this.#generators[i]!));
    for (const generator of this.#generators) if (!left.has(generator)) generator.dispose();
    this.#generators = [...left];
    this.#penalty?.select(indices);
  }

  dispose(): void {
    for (const generator of this.#generators) generator.dispose();
    this.#penalty?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #ids(logits: Tensor): Tensor {
    const scores = this.#penalty?.apply(logits) ?? logits;
    const ids = this.#settings.temperature === 0 ? argmax(scores, -1) : this.#draw(scores);
    this.#penalty?.add(ids);
    return ids;
  }

  #draw(scores: Tensor): Tensor {
    const { temperature, topK, topP, minP } = this.#settings;
    const drawn = this.#generators.map((generator, row) =>
      sample(slice(scores, 0, row, row + 1), { generator, temperature, topK, topP, minP }),
    );
    return drawn.length === 1 ? drawn[0]! : concat(drawn);
  }
}
