/** Event files against bytes made elsewhere, and against a decoder that shares nothing with the writer. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { crc32c } from "../../../src/train/run/crc32c.js";
import { RunFolder } from "../../../src/train/run/index.js";
import {
  eventFileName,
  restartRecord,
  scalarsRecord,
  versionRecord,
} from "../../../src/train/run/tensorboard.js";
import { start, temporary, trained } from "./temporary.js";

// The records were made with Python's struct and a bitwise CRC.
const wallTime = 1_700_000_000.5;
const golden = {
  version: "1800000000000000a37f4b220900002040fc54d9411a0d627261696e2e4576656e743a322b353110",
  scalars:
    "3c00000000000000c8b7a3520900002040fc54d94110ac022a2e0a110a0a747261696e2f6c6f7373150000d0400a190a12" +
    "747261696e2f6c6561726e696e6752617465156f12833a067079ca",
  restart: "100000000000000095fbfe180900002040fc54d94110c9013a020801c451f9e5",
};

test("records have the bytes that the formats ask for", (t) => {
  const values = { loss: 6.5, learningRate: 0.001 };
  const record = { step: 300, epoch: 1, split: "train", seconds: 1, values } as const;
  t.is(versionRecord(wallTime).toString("hex"), golden.version);
  t.is(scalarsRecord(record, wallTime).toString("hex"), golden.scalars);
  t.is(restartRecord(201, wallTime).toString("hex"), golden.restart);
});

test("CRC-32C of the check value and of RFC 3720", (t) => {
  t.is(crc32c(Buffer.from("123456789")), 0xe3069283);
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  t.is(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  t.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test("scalars of any name, step and value are read back", (t) => {
  const values = fc.dictionary(fc.string({ unit: "grapheme" }), fc.float(), {
    noNullPrototype: true,
  });
  const split = fc.constantFrom("train", "validation", "test");
  const step = fc.maxSafeNat();
  fc.assert(
    fc.property(step, split, values, (step, split, values) => {
      const [event] = decode(
        scalarsRecord({ step, epoch: 0, split, seconds: 0, values }, wallTime),
      );
      t.is(event?.step, step);
      t.is(event?.wallTime, wallTime);
      t.deepEqual(
        event?.scalars,
        Object.entries(values).map(([name, value]) => [`${split}/${name}`, value]),
      );
    }),
  );
});

test("a resumed run has a file more, which begins by voiding the steps after the checkpoint", async (t) => {
  const path = join(await temporary(t), "run");
  const run = await RunFolder.create(path, start);
  for (const step of [1, 2, 3]) run.log(trained(step, step));
  await run.close();
  const resumed = await RunFolder.open(path);
  await resumed.truncate(2);
  resumed.log(trained(3, 30));
  await resumed.flush();
  await resumed.truncate(1);
  resumed.log(trained(2, 20));
  await resumed.close();

  const names = (await readdir(path)).filter((name) => name.includes("tfevents")).sort();
  const files = await Promise.all(
    names.map(async (name) => decode(await readFile(join(path, name)))),
  );
  t.is(files.length, 3);
  for (const [first] of files) t.is(first?.fileVersion, "brain.Event:2");
  const rest = files.map((events) =>
    events.slice(1).map(({ step, scalars, session }) => ({ step, scalars, session })),
  );
  const scalar = (step: number, value: number) => ({
    step,
    scalars: [["train/loss", value]],
    session: undefined,
  });
  const restart = (step: number) => ({ step, scalars: [], session: 1 });
  t.deepEqual(rest, [
    [scalar(1, 1), scalar(2, 2), scalar(3, 3)],
    [restart(3), scalar(3, 30)],
    [restart(2), scalar(2, 20)],
  ]);
});

test("names of event files follow each other, however quickly they are made", (t) => {
  const names: string[] = ["metrics.jsonl"];
  for (let i = 0; i < 5; i++) names.push(eventFileName(names, wallTime));
  t.deepEqual(names.slice(1), names.slice(1).toSorted());
  t.is(new Set(names).size, 6);
  t.regex(names[1]!, /^events\.out\.tfevents\.1700000000\.[\w.-]+$/);
});

interface DecodedEvent {
  wallTime: number;
  step: number;
  fileVersion: string | undefined;
  session: number | undefined;
  scalars: [string, number][];
}

/** Reads a file of events; throws where a checksum or a length is wrong. */
function decode(file: Buffer): DecodedEvent[] {
  const events: DecodedEvent[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    if (file.readUInt32LE(at + 8) !== masked(file.subarray(at, at + 8))) throw new Error("length");
    if (file.readUInt32LE(at + 12 + length) !== masked(data)) throw new Error("data");
    events.push(decodeEvent(data));
    at += length + 16;
  }
  return events;
}

function masked(bytes: Buffer): number {
  let rest = 0xffffffffn;
  for (const byte of bytes) {
    rest ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) rest = (rest >> 1n) ^ (rest % 2n === 1n ? 0x82f63b78n : 0n);
  }
  rest ^= 0xffffffffn;
  const rotated = (rest / 2n ** 15n + (rest % 2n ** 15n) * 2n ** 17n) % 2n ** 32n;
  return Number((rotated + 0xa282ead8n) % 2n ** 32n);
}

function decodeEvent(data: Buffer): DecodedEvent {
  const event: DecodedEvent = {
    wallTime: 0,
    step: 0,
    fileVersion: undefined,
    session: undefined,
    scalars: [],
  };
  for (const { field, number, bytes } of fieldsOf(data)) {
    if (field === 1) event.wallTime = bytes.readDoubleLE();
    if (field === 2) event.step = number;
    if (field === 3) event.fileVersion = bytes.toString();
    if (field === 7) event.session = fieldsOf(bytes)[0]?.number;
    if (field !== 5) continue;
    for (const value of fieldsOf(bytes)) {
      const [tag, simple] = fieldsOf(value.bytes);
      event.scalars.push([tag!.bytes.toString(), simple!.bytes.readFloatLE()]);
    }
  }
  return event;
}

function fieldsOf(message: Buffer): { field: number; number: number; bytes: Buffer }[] {
  const fields: { field: number; number: number; bytes: Buffer }[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let place = 1; ; place *= 128) {
      const byte = message[at++]!;
      value += (byte % 128) * place;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const type = key % 8;
    const number = type === 0 || type === 2 ? varint() : 0;
    const length = { 0: 0, 1: 8, 2: number, 5: 4 }[type]!;
    fields.push({ field: (key - type) / 8, number, bytes: message.subarray(at, at + length) });
    at += length;
  }
  return fields;
}
