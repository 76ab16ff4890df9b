import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import type { UserEncoder } from "../../models/index.js";
import { embedding, embeddingBag, mean, reshape } from "../../ops/index.js";
import { type Tensor, tensor } from "../../tensor/index.js";

/**
 * What is kept of a user: the embedding at the `last` event, the `mean` of all, or `all` of them. An encoder with one
 * embedding for each user has all three the same.
 */
export type Pool = "last" | "mean" | "all";

/**
 * The embeddings of a batch, users one after the other: `[users, width]`, or with `all` as many rows as users have
 * embeddings.
 */
export function pooled(encoder: UserEncoder, batch: Batch, pool: Pool): Tensor {
  const x = encoder.embed(batch);
  const { width } = encoder;
  const flat = reshape(x, [x.size / width, width]);
  if (encoder.embeddingsPerUser !== "events") return pool === "mean" ? mean(x, 1) : flat;
  const { rows, offsets } = placesOf(batch);
  if (pool === "all") return embedding(flat, tensor(rows));
  if (pool === "mean") return embeddingBag(flat, tensor(rows), tensor(offsets), { mode: "mean" });
  const last = offsets.slice(1).map((end) => rows[end - 1]!);
  return embedding(flat, tensor(last));
}

/** @throws UsageError when the encoder has several embeddings of a user, and none of them is the last */
export function checkPool({ embeddingsPerUser }: UserEncoder, pool: Pool): void {
  if (pool !== "last" || embeddingsPerUser === "events" || embeddingsPerUser === 1) return;
  throw new UsageError(
    `embed: the encoder has ${embeddingsPerUser} embeddings of a user, none of them is the last; pool must be mean or all`,
  );
}

/** Where the events of a batch are among its positions, user by user. */
function placesOf({ layout, size, extents, inputs }: Batch): {
  rows: Int32Array;
  offsets: Int32Array;
} {
  const length = layout === "padded" ? inputs.item!.shape[1]! : 0;
  const offsets = new Int32Array(size + 1);
  for (let i = 0; i < size; i++)
    offsets[i + 1] = layout === "padded" ? offsets[i]! + extents[i]! : extents[i + 1]!;
  const rows = new Int32Array(offsets[size]!);
  for (let i = 0; i < size; i++) {
    const first = layout === "padded" ? i * length : offsets[i]!;
    for (let at = offsets[i]!; at < offsets[i + 1]!; at++) rows[at] = first + at - offsets[i]!;
  }
  return { rows, offsets };
}
