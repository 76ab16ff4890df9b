import { readdir, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppendFile } from "./append-file.js";
import { replaceFile } from "./json.js";
import { checkRecord, metricLine, readMetricLines } from "./metric-lines.js";
import type { LoggedRecord, MetricRecord } from "./metric-record.js";
import { eventFileName, restartRecord, scalarsRecord, versionRecord } from "./tensorboard.js";

const newline = Buffer.from("\n");

/** `metrics.jsonl`, and beside it the same for TensorBoard. */
export class MetricsLog {
  readonly #path: string;
  /** `metrics.jsonl` */
  #lines: AppendFile;
  /** For TensorBoard; each start of a run has one of its own, made with its first record. */
  #events: AppendFile | undefined;
  #eventsName: string;
  #restartAt: number | undefined;
  /** `seconds` of the last record that was there. */
  #secondsBefore: number;
  #since = performance.now();

  private constructor(path: string, end: number, secondsBefore: number, eventsName: string) {
    this.#path = path;
    this.#lines = new AppendFile(path, end);
    this.#eventsName = eventsName;
    this.#secondsBefore = secondsBefore;
  }

  /**
   * Goes on with what is there. A last line that was cut off goes.
   *
   * @param path of `metrics.jsonl`
   * @throws CheckpointError when the file is damaged
   */
  static async open(path: string): Promise<MetricsLog> {
    let end = 0;
    let seconds = 0;
    for await (const line of readMetricLines(path)) {
      end = line.end;
      seconds = line.record.seconds;
    }
    await truncate(path, end);
    const name = eventFileName(await readdir(dirname(path)), Date.now() / 1000);
    return new MetricsLog(path, end, seconds, name);
  }

  /** Seconds that the run has been going. */
  get seconds(): number {
    const now = (performance.now() - this.#since) / 1000;
    return this.#secondsBefore + Math.round(now * 1000) / 1000;
  }

  log(record: MetricRecord): void {
    checkRecord(record);
    const logged: LoggedRecord = { ...record, seconds: Math.round(this.seconds * 1000) / 1000 };
    const wallTime = Date.now() / 1000;
    this.#lines.append(metricLine(logged));
    this.#events ??= this.#beginEvents(wallTime);
    this.#events.append(scalarsRecord(logged, wallTime));
  }

  /** Resolves once everything logged so far is on the disk. */
  async flush(): Promise<void> {
    const flushed = [this.#lines.flush(), this.#events?.flush()];
    await Promise.allSettled(flushed);
    await Promise.all(flushed);
  }

  /** Forgets the records of steps after `step`: those of a run that was killed after its last checkpoint. */
  async truncate(step: number): Promise<void> {
    await this.close();
    let end = 0;
    let seconds = 0;
    await replaceFile(this.#path, async (append) => {
      for await (const { record, bytes } of readMetricLines(this.#path)) {
        if (record.step > step) continue;
        seconds = record.seconds;
        end += bytes.length + newline.length;
        await append(Buffer.concat([bytes, newline]));
      }
    });
    this.#lines = new AppendFile(this.#path, end);
    this.#secondsBefore = seconds;
    this.#since = performance.now();
    this.#restartAt = step + 1;
    const there = await readdir(dirname(this.#path));
    this.#eventsName = eventFileName(there, Date.now() / 1000);
  }

  async close(): Promise<void> {
    const events = this.#events;
    this.#events = undefined;
    const closed = [this.#lines.close(), events?.close()];
    await Promise.allSettled(closed);
    await Promise.all(closed);
  }

  #beginEvents(wallTime: number): AppendFile {
    const file = new AppendFile(join(dirname(this.#path), this.#eventsName));
    file.append(versionRecord(wallTime));
    if (this.#restartAt !== undefined) file.append(restartRecord(this.#restartAt, wallTime));
    return file;
  }
}
