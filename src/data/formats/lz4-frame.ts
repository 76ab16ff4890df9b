const magic = 0x184d2204;
const largestBlocks = [0, 0, 0, 0, 1 << 16, 1 << 18, 1 << 20, 1 << 22]; // bytes, by the code in the descriptor
const shortestMatch = 4; // bytes

/**
 * Decompresses an LZ4 frame. Checksums are not verified.
 *
 * @throws RangeError when the frame is broken
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export function decompressLz4Frame(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== magic) throw new RangeError("this is no LZ4 frame");
  const flags = view.getUint8(4);
  const largestBlock = largestBlocks[(view.getUint8(5) >> 4) & 7]!;
  if (flags >> 6 !== 1 || largestBlock === 0) throw new RangeError("unknown kind of LZ4 frame");
  const [hasChecksums, hasSize, hasDictionary] = [flags & 16, flags & 8, flags & 1];
  if (hasDictionary !== 0) throw new RangeError("an LZ4 frame with a dictionary is not read");

  let input = hasSize === 0 ? 7 : 15; // the header ends with a checksum of a byte
  let output = new Uint8Array(4 * largestBlock);
  let end = 0;
  for (;;) {
    const size = view.getUint32(input, true);
    input += 4;
    if (size === 0) return output.subarray(0, end);
    const stored = size >>> 31 === 1;
    const length = size & 0x7fff_ffff;
    if (input + length > frame.length) throw new RangeError("the LZ4 frame is cut off");
    if (end + largestBlock > output.length) {
      const grown = new Uint8Array(2 * output.length);
      grown.set(output);
      output = grown;
    }
    const block = frame.subarray(input, input + length);
    if (!stored) end = decompressBlock(block, output, end);
    else {
      output.set(block, end);
      end += length;
    }
    input += length + (hasChecksums === 0 ? 0 : 4);
  }
}

/** Appends a block to what `output` has up to `end`, which it may refer to. Returns the new end. */
function decompressBlock(block: Uint8Array, output: Uint8Array, end: number): number {
  let input = 0;
  while (input < block.length) {
    const token = block[input++]!;
    let literals = token >> 4;
    if (literals === 15) {
      let more: number;
      do {
        more = block[input++]!;
        literals += more;
      } while (more === 255);
    }
    const to = end + literals;
    if (!(input + literals <= block.length && to <= output.length)) throw brokenBlock();
    while (end < to) output[end++] = block[input++]!;
    if (input === block.length) return end; // the last sequence is literals only

    const distance = block[input++]! | (block[input++]! << 8);
    let match = token & 15;
    if (match === 15) {
      let more: number;
      do {
        more = block[input++]!;
        match += more;
      } while (more === 255);
    }
    const stop = end + match + shortestMatch;
    if (!(distance > 0 && distance <= end && stop <= output.length)) throw brokenBlock();
    for (let from = end - distance; end < stop; from++) output[end++] = output[from]!;
  }
  return end;
}

function brokenBlock(): RangeError {
  return new RangeError("a block of the LZ4 frame is broken");
}
