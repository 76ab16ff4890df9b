const longest = 65_536; // elements of a vector, bytes of a text

/**
 * A table of a FlatBuffer, the encoding of Arrow's metadata. No position or length in it is trusted: a read outside the
 * bytes throws a `RangeError`, as `DataView` does.
 *
 * @see https://flatbuffers.dev/internals/
 */
export class FlatTable {
  readonly #bytes: DataView;
  readonly #position: number;
  readonly #fields: number;
  readonly #fieldsEnd: number;

  constructor(bytes: DataView, position: number) {
    this.#bytes = bytes;
    this.#position = position;
    this.#fields = position - bytes.getInt32(position, true);
    this.#fieldsEnd = this.#fields + bytes.getUint16(this.#fields, true);
  }

  static root(bytes: DataView): FlatTable {
    return new FlatTable(bytes, bytes.getUint32(0, true));
  }

  uint8(field: number): number {
    const at = this.#at(field);
    return at === undefined ? 0 : this.#bytes.getUint8(at);
  }

  int16(field: number): number {
    const at = this.#at(field);
    return at === undefined ? 0 : this.#bytes.getInt16(at, true);
  }

  int32(field: number): number {
    const at = this.#at(field);
    return at === undefined ? 0 : this.#bytes.getInt32(at, true);
  }

  /** A 64-bit count or position. */
  size(field: number): number {
    const at = this.#at(field);
    return at === undefined ? 0 : sizeAt(this.#bytes, at);
  }

  table(field: number): FlatTable | undefined {
    const at = this.#target(field);
    return at === undefined ? undefined : new FlatTable(this.#bytes, at);
  }

  text(field: number): string | undefined {
    const at = this.#target(field);
    if (at === undefined) return undefined;
    const length = this.#lengthAt(at, 1);
    const { buffer, byteOffset } = this.#bytes;
    return Buffer.from(buffer, byteOffset + at + 4, length).toString();
  }

  tables(field: number): FlatTable[] {
    const at = this.#target(field);
    if (at === undefined) return [];
    return Array.from({ length: this.#lengthAt(at, 4) }, (_, i) => {
      const element = at + 4 + 4 * i;
      return new FlatTable(this.#bytes, element + this.#bytes.getUint32(element, true));
    });
  }

  /** A vector of structs that are `words` 64-bit numbers each; a 32-bit one is padded with zeros. */
  structs(field: number, words: number): number[][] {
    const at = this.#target(field);
    if (at === undefined) return [];
    return Array.from({ length: this.#lengthAt(at, 8 * words) }, (_, i) =>
      Array.from({ length: words }, (_, word) =>
        sizeAt(this.#bytes, at + 4 + 8 * (words * i + word)),
      ),
    );
  }

  #at(field: number): number | undefined {
    const entry = this.#fields + 4 + 2 * field;
    if (entry + 2 > this.#fieldsEnd) return undefined;
    const offset = this.#bytes.getUint16(entry, true);
    return offset === 0 ? undefined : this.#position + offset;
  }

  #target(field: number): number | undefined {
    const at = this.#at(field);
    return at === undefined ? undefined : at + this.#bytes.getUint32(at, true);
  }

  #lengthAt(at: number, elementBytes: number): number {
    const length = this.#bytes.getUint32(at, true);
    if (length > longest || at + 4 + length * elementBytes > this.#bytes.byteLength) {
      throw new RangeError("a vector ends outside of the metadata");
    }
    return length;
  }
}

function sizeAt(bytes: DataView, at: number): number {
  const size = bytes.getInt32(at + 4, true) * 2 ** 32 + bytes.getUint32(at, true);
  if (size < 0 || size > Number.MAX_SAFE_INTEGER) throw new RangeError("a length is out of range");
  return size;
}
