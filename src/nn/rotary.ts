import { UsageError } from "../errors.js";
import { type RotaryStyle, type RotaryTableOptions, rotaryTable } from "../ops/index.js";
import { keep, tidy } from "../tensor/memory.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

export interface RotaryEmbeddingOptions extends RotaryTableOptions {
  /** Which elements make a pair: neighbours, or those half the width apart. Default: `half`. */
  style?: RotaryStyle;
}

/**
 * Rotary position embedding, shared by the layers of a model: the table of angles, which grows with the longest sequence.
 *
 * @see Su et al., "RoFormer", arXiv:2104.09864
 */
export class RotaryEmbedding extends Module {
  readonly style: RotaryStyle;
  readonly #options: RotaryTableOptions;
  // A table that a recorded op may still need is kept when a longer one takes its place.
  readonly #tables: Tensor[] = [];

  /** @param width elements of a head that are rotated: an even number, at most the head width */
  constructor(
    readonly width: number,
    { style = "half", ...options }: RotaryEmbeddingOptions = {},
  ) {
    super();
    if (!(Number.isInteger(width) && width > 0 && width % 2 === 0))
      throw new UsageError(`RotaryEmbedding: width must be an even number, got ${width}`);
    this.style = style;
    this.#options = options;
  }

  /** The table for at least `positions` positions: `[positions, width / 2, 2]`. It stays the module's own. */
  table(positions: number): Tensor {
    const last = this.#tables.at(-1);
    if (last && last.shape[0]! >= positions) return last;
    const rows = 2 ** Math.ceil(Math.log2(Math.max(positions, 64)));
    const table = keep(tidy(() => rotaryTable(rows, this.width, this.#options)));
    this.#tables.push(table);
    return table;
  }

  override dispose(): void {
    for (const table of this.#tables.splice(0)) table.dispose();
  }
}
