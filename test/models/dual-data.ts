/** Invented data for dual encoders. */
import { type Batch, Loader, type LoaderOptions } from "../../src/data/index.js";
import { noGrad, type Tensor, tidy } from "../../src/index.js";
import type {
  DualEncoder,
  EncoderData,
  EncoderFeature,
  TrainingData,
} from "../../src/models/index.js";
import { InventedData } from "../data/loader/loader-data.js";

export const invented = new InventedData([5, 0, 9, 1, 12, 7, 3, 30], 4);
export const length = 6;
export const windows = invented.windows(length);
/** Few, and of four inputs at least: no two have the same inputs. */
export const fewWindows = invented.windows(length, 4, 2);

const item: EncoderFeature = { name: "item", bag: false, size: invented.items, of: "event" };

/** Features: `item`; of events `rating` and the bag `tags`; of items `brand` and the bag `genres`. */
export const data: EncoderData = {
  features: [
    item,
    ...invented.features
      .filter(({ kind }) => kind !== "text")
      .map(({ name, kind, size, of, longest }) => ({
        ...{ name, size, of, longest },
        bag: kind === "bag",
      })),
  ],
  length,
};

export const trainingData: TrainingData = {
  itemTargets: Float64Array.from({ length: invented.items }, (_, item) => item % 4),
  itemValues: { brand: invented.columns.brand, genres: invented.bags.genres },
};

/** What the encoder reads of all windows. */
export const loaderFor = (encoder: DualEncoder, options: LoaderOptions, of = windows): Loader =>
  new Loader(invented, of, { features: encoder.features.map(({ name }) => name), ...options });

/** What `run` makes of each batch, all of it. */
export async function rowsOf(
  encoder: DualEncoder,
  options: LoaderOptions,
  run: (batch: Batch) => Tensor,
): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for await (const batch of loaderFor(encoder, options)) {
    const result = tidy(() => noGrad(() => run(batch)));
    parts.push(await result.dataAs("float32"));
    result.dispose();
  }
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** For each window of a batch the scores of all labels: the highest of the products, in float64. */
export async function scoresOf(encoder: DualEncoder, batch: Batch): Promise<number[][]> {
  const { width, embeddingsPerUser: k } = encoder;
  const made = tidy(() => [encoder.query(batch), encoder.labelTable().weight] as const);
  const [queries, table] = await Promise.all(made.map((each) => each.dataAs("float32")));
  for (const each of made) each.dispose();
  const product = (query: number, label: number): number => {
    let sum = 0;
    for (let d = 0; d < width; d++)
      sum += queries![query * width + d]! * table![label * width + d]!;
    return sum;
  };
  return Array.from({ length: batch.size }, (_, i) =>
    Array.from({ length: encoder.label.size }, (_, label) =>
      Math.max(...Array.from({ length: k }, (_, j) => product(i * k + j, label))),
    ),
  );
}

/** The item that each window of a batch is about. */
export const itemsOf = ({ targetRows }: Batch): number[] =>
  Array.from(targetRows, (row) => invented.columns.item[row]!);
