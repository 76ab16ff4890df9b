/**
 * Event files of TensorBoard: a sequence of TFRecords, each a protocol buffer `Event`. A scalar needs so little of either
 * format that both are written by hand here.
 *
 * @see https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
 * @see https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
 */
import { hostname } from "node:os";
import { crc32c } from "./crc32c.js";
import type { LoggedRecord } from "./metric-record.js";

/** Field numbers of `Event`, `Summary`, `Summary.Value` and `SessionLog`. */
const event = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const summary = { value: 1 } as const;
const summaryValue = { tag: 1, simpleValue: 2 } as const;
const sessionLog = { status: 1 } as const;
const sessionStart = 1;

const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** The first record of every event file. */
export function versionRecord(wallTime: number): Buffer {
  const version = field(event.fileVersion, wireTypes.bytes, lengthPrefixed(text("brain.Event:2")));
  return tfRecord(Buffer.concat([time(wallTime), version]));
}

/** Tells TensorBoard that training began again: what it has of this step and of later ones is void. */
export function restartRecord(step: number, wallTime: number): Buffer {
  const start = field(sessionLog.status, wireTypes.varint, varint(sessionStart));
  const log = field(event.sessionLog, wireTypes.bytes, lengthPrefixed(start));
  return tfRecord(Buffer.concat([time(wallTime), stepField(step), log]));
}

/** The scalars `train/loss`, `validation/ndcg@10`, ... of a record. */
export function scalarsRecord(record: LoggedRecord, wallTime: number): Buffer {
  const values = Object.entries(record.values).map(([name, value]) => {
    const tag = lengthPrefixed(text(`${record.split}/${name}`));
    const scalar = Buffer.alloc(4);
    scalar.writeFloatLE(value);
    const message = Buffer.concat([
      field(summaryValue.tag, wireTypes.bytes, tag),
      field(summaryValue.simpleValue, wireTypes.fixed32, scalar),
    ]);
    return field(summary.value, wireTypes.bytes, lengthPrefixed(message));
  });
  const all = field(event.summary, wireTypes.bytes, lengthPrefixed(Buffer.concat(values)));
  return tfRecord(Buffer.concat([time(wallTime), stepField(record.step), all]));
}

const eventFile = /^events\.out\.tfevents\.(\d+)\./;

export const isEventFile = (name: string): boolean => eventFile.test(name);

/** A name that TensorBoard reads after those that are there: it goes by the time within. */
export function eventFileName(there: readonly string[], wallTime: number): string {
  const times = there.map((name) => Number(eventFile.exec(name)?.[1] ?? 0));
  const seconds = Math.max(Math.floor(wallTime), ...times.map((taken) => taken + 1));
  const host = hostname().replace(/[^\w.-]/g, "_") || "localhost";
  return `events.out.tfevents.${String(seconds).padStart(10, "0")}.${host}`;
}

/** Length and data, each with its checksum. */
function tfRecord(data: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedChecksum(length), data, maskedChecksum(data)]);
}

/** Rotated and shifted, as the format wants it for data that holds checksums itself. */
function maskedChecksum(bytes: Buffer): Buffer {
  const checksum = crc32c(bytes);
  const masked = Buffer.alloc(4);
  masked.writeUInt32LE((((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0);
  return masked;
}

function time(wallTime: number): Buffer {
  const value = Buffer.alloc(8);
  value.writeDoubleLE(wallTime);
  return field(event.wallTime, wireTypes.fixed64, value);
}

const stepField = (step: number): Buffer => field(event.step, wireTypes.varint, varint(step));

const field = (number: number, wireType: number, value: Buffer): Buffer =>
  Buffer.concat([varint((number << 3) | wireType), value]);

const lengthPrefixed = (value: Buffer): Buffer => Buffer.concat([varint(value.length), value]);

const text = (value: string): Buffer => Buffer.from(value, "utf8");

/** Seven bits a byte, the lowest first. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}
