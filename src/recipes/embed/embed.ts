import { join } from "node:path";
import { type BatchLayout, Loader, type PreparedData } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { tidy } from "../../tensor/index.js";
import type { LoadedEncoder } from "../encoder-bundle/index.js";
import { type EmbeddingsCard, openEmbeddings } from "./embeddings-folder.js";
import { type Histories, historiesOf, type Unknowns } from "./histories.js";
import { type Mapping, mappingOf } from "./mapping.js";
import { PartFile } from "./part-file.js";
import { checkPool, type Pool, pooled } from "./pooled.js";
import { type Columns, noRows, type RowWriter } from "./rows.js";
import { partName, type Shard, usersOf } from "./shard.js";

export interface EmbedOptions extends LongCall {
  /** Folder of the parts; made if need be. */
  out: string;
  /** Default: `parquet`. */
  format?: "parquet" | "arrow" | undefined;
  /**
   * Divides the users into `of` parts by their ids, and writes one of them, `index` from 0 on, or without it all, one
   * after the other. Default: all in one part.
   */
  shard?: { readonly index?: number | undefined; readonly of: number } | undefined;
  /** Default: `last`. */
  pool?: Pool | undefined;
  /** Users that are embedded together. Default: 128. */
  batchSize?: number | undefined;
  /** How the encoder is given them. Default: `ragged`. */
  layout?: BatchLayout | undefined;
  /** Whether parts that are there already are written again, and those of another encoder go. Default: false. */
  overwrite?: boolean | undefined;
}

/** What was written. */
export interface EmbedResult {
  readonly card: EmbeddingsCard;
  readonly parts: readonly EmbeddedPart[];
  /** Events of items that the encoder does not know; they were left out. */
  readonly unknownEvents: number;
  /** By feature of events: values that the encoder does not know; they counted as missing. */
  readonly unknownValues: Readonly<Record<string, number>>;
  /** Features of events that the encoder reads and the data does not have. */
  readonly absentFeatures: readonly string[];
}

export interface EmbeddedPart {
  readonly name: string;
  /** Whether it was there already; nothing is known of its users then. */
  readonly skipped: boolean;
  readonly users: number;
  /** Those of whom the encoder knows no event; their embedding is null. */
  readonly withoutEvents: number;
}

/** About how many events are gathered at once. */
const rowsAtOnce = 1 << 17;

/**
 * Writes an embedding of each user: of the last events of the user's history, the very last included, as many as the
 * encoder takes. A part appears whole or not at all; parts of the same encoder and data that are there already are not
 * written again.
 *
 * Data that the encoder was not trained on is compared by names of items and values: what the encoder does not know is
 * left out.
 *
 * @throws UsageError when the encoder has no embedding of that kind
 * @throws DataError when a feature of the data is another than the encoder's, or `out` holds something else
 */
export async function embed(
  encoder: LoadedEncoder,
  data: PreparedData,
  options: EmbedOptions,
): Promise<EmbedResult> {
  const { out, format = "parquet", pool = "last", shard = { of: 1 }, overwrite = false } = options;
  checkPool(encoder.encoder, pool);
  const shards = shardsOf(shard);
  const card = cardOf(encoder, data, { pool, files: format, shards: shard.of });
  const mapping = await mappingOf(data, encoder);
  const unknowns: Unknowns = { events: 0, values: {} };
  const finished = await openEmbeddings(out, card, overwrite);
  const parts: EmbeddedPart[] = [];
  for (const each of shards) {
    const name = partName(each, format);
    if (finished.has(name)) {
      parts.push({ name, skipped: true, users: 0, withoutEvents: 0 });
      continue;
    }
    const work: PartWork = { encoder, data, mapping, unknowns, card, shard: each, pool, options };
    parts.push({ name, skipped: false, ...(await writePart(join(out, name), work)) });
  }
  const { events: unknownEvents, values: unknownValues } = unknowns;
  return { card, parts, unknownEvents, unknownValues, absentFeatures: mapping.absent };
}

function shardsOf({ index, of }: NonNullable<EmbedOptions["shard"]>): Shard[] {
  const isWhole = (value: number, least: number, most: number) =>
    Number.isInteger(value) && value >= least && value <= most;
  if (!isWhole(of, 1, 99_999))
    throw new UsageError(`embed: shards must be a whole number from 1 to 99999, got ${of}`);
  if (index === undefined) return Array.from({ length: of }, (_, i) => ({ index: i, of }));
  if (!isWhole(index, 0, of - 1))
    throw new UsageError(`embed: shard must be a whole number from 0 to ${of - 1}, got ${index}`);
  return [{ index, of }];
}

function cardOf(
  { card, hash, encoder }: LoadedEncoder,
  data: PreparedData,
  chosen: Pick<EmbeddingsCard, "pool" | "files" | "shards">,
): EmbeddingsCard {
  return {
    format: "user-llm-embeddings",
    version: 1,
    encoder: { kind: card.encoder.kind, hash, provenance: card.provenance },
    data: { title: data.manifest.source.title, fingerprint: data.fingerprint },
    ...chosen,
    width: encoder.width,
  };
}

interface PartWork {
  readonly encoder: LoadedEncoder;
  readonly data: PreparedData;
  readonly mapping: Mapping;
  readonly unknowns: Unknowns;
  readonly card: EmbeddingsCard;
  readonly shard: Shard;
  readonly pool: Pool;
  readonly options: EmbedOptions;
}

async function writePart(
  path: string,
  work: PartWork,
): Promise<Pick<EmbeddedPart, "users" | "withoutEvents">> {
  const { encoder, data, mapping, unknowns, shard } = work;
  const { batchSize = 128, signal, onProgress } = work.options;
  const batches = Math.max(1, Math.floor(rowsAtOnce / encoder.card.length / batchSize));
  const expected = Math.ceil(data.users / shard.of);
  const file = await PartFile.create(path);
  let users = 0;
  let withoutEvents = 0;
  try {
    const writer = await writerOf(file, work);
    let rows = noRows();
    let values = 0;
    const flush = async () => {
      if (rows.users.length > 0) await writer.write(rows);
      rows = noRows();
      values = 0;
    };
    for await (const chosen of usersOf(data, shard, batches * batchSize)) {
      const histories = historiesOf(data, chosen, encoder, mapping, unknowns);
      for await (const user of embeddingsOf(histories, work)) {
        signal?.throwIfAborted();
        const { embeddings, place } = user;
        rows.users.push(data.userId(chosen[place]!));
        rows.events.push(histories.lengths[place]!);
        rows.counts.push(embeddings.length / encoder.encoder.width);
        rows.values.push(embeddings);
        values += embeddings.length;
        users++;
        if (embeddings.length === 0) withoutEvents++;
        if (values >= writer.valuesAtOnce) await flush();
      }
      onProgress?.({
        task: "embedding users",
        done: users,
        total: Math.max(users, expected),
        unit: "rows",
      });
    }
    await flush();
    await writer.finish();
    signal?.throwIfAborted();
    await file.commit();
    return { users, withoutEvents };
  } finally {
    await file.abandon();
  }
}

async function writerOf(
  file: PartFile,
  { encoder, pool, card, shard }: PartWork,
): Promise<RowWriter> {
  const { width, embeddingsPerUser } = encoder.encoder;
  const lists = pool === "all" && embeddingsPerUser !== 1;
  const columns: Columns = { width, lists };
  const metadata = { "user-llm": JSON.stringify({ ...card, shard: shard.index }) };
  // Only here, since loading either takes longer than most commands.
  if (card.files === "arrow") {
    const { arrowRows } = await import("./arrow-rows.js");
    return arrowRows(file, columns, metadata);
  }
  const { parquetRows } = await import("./parquet-rows.js");
  return parquetRows(file, columns, metadata);
}

/** The users of some histories in their order, with their embeddings; none of those without events. */
async function* embeddingsOf(
  { data, windows, lengths }: Histories,
  { encoder: { encoder }, pool, options }: PartWork,
): AsyncGenerator<{ place: number; embeddings: Float32Array }> {
  const { batchSize = 128, layout = "ragged", signal } = options;
  const none = new Float32Array(0);
  let place = 0;
  if (windows.count > 0) {
    const features = encoder.features.map(({ name }) => name);
    const loaded = { batchSize, layout, features, targets: false, signal };
    for await (const batch of new Loader(data, windows, loaded)) {
      const made = tidy(() => pooled(encoder, batch, pool));
      const values = await made.dataAs("float32").finally(() => made.dispose());
      for (let i = 0, at = 0; i < batch.size; i++) {
        for (; lengths[place] === 0; place++) yield { place, embeddings: none };
        const count = embeddingsOfOne(encoder.embeddingsPerUser, pool, lengths[place]!);
        const end = at + count * encoder.width;
        yield { place, embeddings: values.slice(at, end) };
        at = end;
        place++;
      }
    }
  }
  for (; place < lengths.length; place++) yield { place, embeddings: none };
}

function embeddingsOfOne(perUser: number | "events", pool: Pool, events: number): number {
  if (pool !== "all") return 1;
  return perUser === "events" ? events : perUser;
}
