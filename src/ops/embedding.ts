import { UsageError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const lookup = defineOp({
  name: "embedding",
  inputs: ["tables*", "ids*"],
  attributes: [],
  outputs: ["result"],
  gradient: {
    saves: ["ids"],
    rule({ saved: { ids }, shapes, grad, needs }) {
      let column = 0;
      const tables = shapes.tables.map(([rows = 0, width = 0], i) => {
        const from = column;
        column += width;
        if (!needs.tables[i]) return undefined;
        return lookupBackward({ grad, ids: ids[i]! }, { rows, column: from, width })[0];
      });
      return { tables };
    },
  },
});

const lookupBackward = defineOp({
  name: "embedding_backward",
  inputs: ["grad", "ids"],
  attributes: ["rows", "column", "width"],
  outputs: ["table_grad"],
  gradient: { none: "second derivatives are not supported" },
});

/** The wire code is the position. */
const modes = ["sum", "mean"] as const;

const bag = defineOp({
  name: "embedding_bag",
  inputs: ["table", "ids", "offsets"],
  attributes: ["mode"],
  outputs: ["result"],
  gradient: {
    saves: ["ids", "offsets"],
    rule({ saved: { ids, offsets }, shapes, attributes: { mode }, grad }) {
      const [table] = bagBackward({ grad, ids, offsets }, { rows: shapes.table[0]!, mode });
      return { table };
    },
  },
});

const bagBackward = defineOp({
  name: "embedding_bag_backward",
  inputs: ["grad", "ids", "offsets"],
  attributes: ["rows", "mode"],
  outputs: ["table_grad"],
  gradient: { none: "second derivatives are not supported" },
});

/**
 * Rows of a table by id.
 *
 *     result[...] = table[ids[...]]
 *
 * @param table `[rows, width]`, any dtype; a gradient needs float32 or float64
 * @param ids   `[...]`, int32; one outside the table is a fault
 * @returns     `[..., width]`
 * @throws ShapeError when the table is not a matrix
 */
export const embedding = (table: Tensor, ids: Tensor): Tensor => embeddings([table], [ids]);

/**
 * Rows of several tables side by side: the embeddings of an event's features, concatenated.
 *
 *     result[...] = concat(tables[0][ids[0][...]], tables[1][ids[1][...]], ...)
 *
 * @param tables each `[rows, width]`, of widths and numbers of rows of their own, all of one dtype
 * @param ids    one tensor for each table, all `[...]`, int32
 * @returns      `[..., sum of the widths]`
 * @throws ShapeError when the shapes of ids differ, or a table is not a matrix
 */
export function embeddings(tables: readonly Tensor[], ids: readonly Tensor[]): Tensor {
  const [result] = lookup({ tables, ids }, {});
  return result;
}

export interface EmbeddingBagOptions {
  /** How the rows of a bag become one. Default: `mean`. */
  mode?: (typeof modes)[number];
}

/**
 * Sum or mean of table rows over bags of ids, for features with several values.
 *
 *     result[b] = mean of table[ids[i]] over offsets[b] <= i < offsets[b + 1]
 *
 * @param table   `[rows, width]`, float32 or float64
 * @param ids     `[ids]`, int32, bag after bag; one outside the table is a fault
 * @param offsets `[bags + 1]`, int32, rising from 0 to the number of ids, or it is a fault
 * @returns       `[bags, width]`; zeros for an empty bag
 * @throws ShapeError when a tensor does not have its layout
 */
export function embeddingBag(
  table: Tensor,
  ids: Tensor,
  offsets: Tensor,
  { mode = "mean" }: EmbeddingBagOptions = {},
): Tensor {
  const code = modes.indexOf(mode);
  if (code < 0)
    throw new UsageError(`embeddingBag: mode must be "sum" or "mean", got "${mode as string}"`);
  const [result] = bag({ table, ids, offsets }, { mode: code });
  return result;
}
