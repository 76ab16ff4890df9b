import { buffer } from "node:stream/consumers";
import { ZipFile } from "yazl";

/** A zip of texts. */
export async function zipOf(
  files: Readonly<Record<string, string | Buffer>>,
  mode?: number,
): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, content] of Object.entries(files)) {
    const date = new Date(2020, 0, 1);
    zip.addBuffer(Buffer.from(content), name, { mtime: date, ...(mode !== undefined && { mode }) });
  }
  zip.end();
  return buffer(zip.outputStream);
}

/** The same zip with another name of the same length in it, which yazl would not write. */
export function renamed(zip: Buffer, from: string, to: string): Buffer {
  if (Buffer.byteLength(from) !== Buffer.byteLength(to)) throw new Error("names differ in length");
  return Buffer.from(zip.toString("latin1").replaceAll(from, to), "latin1");
}

const centralHeader = 0x02014b50;

/** The same zip with bytes of each entry of its directory changed. */
export function patched(zip: Buffer, patch: (entry: Buffer) => void): Buffer {
  const copy = Buffer.from(zip);
  for (let at = 0; at + 46 <= copy.length; at++) {
    if (copy.readUInt32LE(at) === centralHeader) patch(copy.subarray(at));
  }
  return copy;
}
