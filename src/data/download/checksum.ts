import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { NetworkError, UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";

export interface Digests {
  readonly bytes: number;
  readonly md5: string;
  readonly sha256: string;
}

/** `md5:` or `sha256:` and the sum in hexadecimal. */
export type Checksum = `${"md5" | "sha256"}:${string}`;

export async function digestsOf(path: string, name: string, options: LongCall): Promise<Digests> {
  const { onProgress, signal } = options;
  const [md5, sha256] = [createHash("md5"), createHash("sha256")];
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    signal?.throwIfAborted();
    md5.update(chunk as Buffer);
    sha256.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    onProgress?.({ task: `checking ${name}`, done: bytes, unit: "bytes" });
  }
  return { bytes, md5: md5.digest("hex"), sha256: sha256.digest("hex") };
}

/** @throws UsageError when it is none */
export function parseChecksum(text: string): Checksum {
  const checksum = text.toLowerCase();
  if (/^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$/.test(checksum)) return checksum as Checksum;
  throw new UsageError(`a checksum is md5:<32 digits> or sha256:<64 digits>, got "${text}"`);
}

/** The MD5 in what a publisher keeps beside a file: `MD5 (ml-20m.zip) = cd24...`, or the sum and the name. */
export function findMd5(text: string): Checksum | undefined {
  const sum = /\b[0-9a-f]{32}\b/i.exec(text)?.[0];
  return sum === undefined ? undefined : `md5:${sum.toLowerCase()}`;
}

/** @throws NetworkError when the file is not what it should be */
export function verify(name: string, digests: Digests, expected: Checksum): void {
  const [algorithm, sum] = expected.split(":") as ["md5" | "sha256", string];
  if (digests[algorithm] === sum) return;
  throw new NetworkError(
    `${name}: its ${algorithm} is ${digests[algorithm]}, expected ${sum}; the file was removed`,
  );
}
