import {
  AsyncByteQueue,
  type Data,
  Field,
  FixedSizeList,
  Float32,
  Int32,
  List,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  Schema,
  Struct,
  Utf8,
} from "apache-arrow";
import type { PartFile } from "./part-file.js";
import type { Columns, Rows, RowWriter } from "./rows.js";

/** What a writer has written, until it is taken. */
class Written extends AsyncByteQueue {
  #chunks: Uint8Array[] = [];

  override write(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  take(): Uint8Array[] {
    return this.#chunks.splice(0);
  }
}

/**
 * Rows as an Arrow IPC file, each write a record batch: `user`, `events`, and `embedding`, a list of fixed size which is
 * null without events, or `embeddings`, a list of such lists.
 */
export function arrowRows(
  file: PartFile,
  columns: Columns,
  metadata: Readonly<Record<string, string>>,
): RowWriter {
  const schema = schemaOf(columns, metadata);
  const written = new Written();
  const writer = new RecordBatchFileWriter();
  writer.reset(written, schema);
  const flush = async () => {
    for (const chunk of written.take()) await file.append(chunk);
  };
  return {
    valuesAtOnce: 1 << 20,
    async write(rows) {
      writer.write(new RecordBatch(schema, dataOf(rows, columns, schema)));
      await flush();
    },
    async finish() {
      writer.finish();
      await flush();
    },
  };
}

function schemaOf(columns: Columns, metadata: Readonly<Record<string, string>>): Schema {
  const one = new FixedSizeList(columns.width, new Field("element", new Float32(), false));
  const embeddings = columns.lists
    ? new Field("embeddings", new List(new Field("element", one, false)), false)
    : new Field("embedding", one, true);
  return new Schema(
    [new Field("user", new Utf8(), false), new Field("events", new Int32(), false), embeddings],
    new Map(Object.entries(metadata)),
  );
}

function dataOf(rows: Rows, columns: Columns, schema: Schema): Data<Struct> {
  const { length } = rows.users;
  const [user, events, embeddings] = schema.fields;
  const children = [
    textData(rows.users, user!.type as Utf8),
    makeData({ type: events!.type as Int32, data: Int32Array.from(rows.events) }),
    columns.lists
      ? listData(rows, embeddings!.type as List<FixedSizeList>)
      : singleData(rows, embeddings!.type as FixedSizeList),
  ];
  return makeData({ type: new Struct(schema.fields), length, nullCount: 0, children });
}

function textData(texts: readonly string[], type: Utf8): Data<Utf8> {
  const bytes = texts.map((text) => Buffer.from(text));
  const valueOffsets = new Int32Array(texts.length + 1);
  for (const [i, { length }] of bytes.entries()) valueOffsets[i + 1] = valueOffsets[i]! + length;
  return makeData({
    type,
    length: texts.length,
    nullCount: 0,
    valueOffsets,
    data: Buffer.concat(bytes),
  });
}

/** An embedding for each user, zeros under the nulls. */
function singleData({ counts, values }: Rows, type: FixedSizeList): Data<FixedSizeList> {
  const { listSize: width } = type;
  const { length } = counts;
  const data = new Float32Array(length * width);
  const nullBitmap = new Uint8Array(Math.ceil(length / 8));
  for (const [i, count] of counts.entries()) {
    if (count === 0) continue;
    data.set(values[i]!, i * width);
    nullBitmap[i >> 3]! |= 1 << (i & 7);
  }
  const nullCount = counts.filter((count) => count === 0).length;
  const child = makeData({ type: new Float32(), data });
  return makeData({ type, length, nullCount, nullBitmap, child });
}

function listData({ counts, values }: Rows, type: List<FixedSizeList>): Data<List<FixedSizeList>> {
  const valueOffsets = new Int32Array(counts.length + 1);
  for (const [i, count] of counts.entries()) valueOffsets[i + 1] = valueOffsets[i]! + count;
  const embeddings = valueOffsets.at(-1)!;
  const one = type.valueType as FixedSizeList;
  const data = new Float32Array(embeddings * one.listSize);
  for (const [i, all] of values.entries()) data.set(all, valueOffsets[i]! * one.listSize);
  const child = makeData({
    ...{ type: one, length: embeddings, nullCount: 0 },
    child: makeData({ type: new Float32(), data }),
  });
  return makeData({ type, length: counts.length, nullCount: 0, valueOffsets, child });
}
