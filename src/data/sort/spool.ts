/**
 * Values of different lengths (texts, bags) of events on their way through the sort: they go to a temporary file in
 * source order and come back in any order.
 */
export interface Spool {
  /** `text`: UTF-8. `bag`: little-endian int32 indices. */
  readonly kind: "text" | "bag";
  /** Rows appended so far. */
  readonly rows: number;
  /** Bytes of all rows. */
  readonly bytes: number;
  /** Appends the next row's value. */
  append(value: string | readonly number[]): void;
  /** Waits until what was appended need not stay in memory; call it every block. */
  flush(): Promise<void>;
  /** Lengths in bytes of the rows. */
  lengths(rows: Float64Array, count: number, into: Float64Array): void;
  /** The values of the rows, one after the other; valid until the next call. */
  read(rows: Float64Array, count: number): Promise<Buffer>;
  close(): Promise<void>;
}
