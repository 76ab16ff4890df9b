/** How far a long piece of work has got. Sent often; whoever shows it decides how often to draw. */
export interface Progress {
  /** What is going on, in the user's words: `reading ratings.csv`. */
  readonly task: string;
  /** In `unit`. */
  readonly done: number;
  /** In `unit`; absent while nobody knows. */
  readonly total?: number | undefined;
  readonly unit: "bytes" | "rows" | "files" | "steps" | "tokens";
  /** What else is known: `{ loss: 2.3 }`. Shown after the bar. */
  readonly values?: Readonly<Record<string, number | string>> | undefined;
}

export type ProgressListener = (progress: Progress) => void;

/** Options of every call that can take long. */
export interface LongCall {
  onProgress?: ProgressListener | undefined;
  /** Aborting rejects with the signal's reason; nothing is left half-written. */
  signal?: AbortSignal | undefined;
}
