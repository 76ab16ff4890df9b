/** Embeddings of some users. */
export interface Rows {
  readonly users: string[];
  /** Events that each user's embeddings are made of. */
  readonly events: number[];
  /** How many embeddings each user has. */
  readonly counts: number[];
  /** All of them, one after the other; of each user a part. */
  readonly values: Float32Array[];
}

export const noRows = (): Rows => ({ users: [], events: [], counts: [], values: [] });

/** What the columns of a file are. */
export interface Columns {
  /** Numbers of an embedding. */
  readonly width: number;
  /** Whether a user has a list of them, `embeddings`, in place of one or none, `embedding`. */
  readonly lists: boolean;
}

/** Writes the bytes of a format. */
export interface RowWriter {
  /** About how many numbers one write should have. */
  readonly valuesAtOnce: number;
  write(rows: Rows): Promise<void>;
  finish(): Promise<void>;
}
