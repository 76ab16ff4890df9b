import { readdir, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { replaceFile } from "../../data/files/replace-file.js";
import type { MetricRecord } from "../metric-record.js";
import { AppendFile } from "./append-file.js";
import { checkRecord, metricLine, readMetricLines } from "./metric-lines.js";
import type { LoggedRecord, MetricSplit } from "./metric-record.js";
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
  /** The step that was resumed from, and what of it is there. */
  #resumed: { readonly step: number; readonly splits: ReadonlySet<MetricSplit> } | undefined;
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
    // A validation may have been logged, but not yet noted in the checkpoint, when the run was killed.
    if (record.step === this.#resumed?.step && this.#resumed.splits.has(record.split)) return;
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

  /**
   * Forgets the records of steps after `step`: those of a run that was killed after its last checkpoint. A record of `step`
   * itself that is there is not kept a second time.
   */
  async truncate(step: number): Promise<void> {
    await this.close();
    let end = 0;
    let seconds = 0;
    const splits = new Set<MetricSplit>();
    await replaceFile(this.#path, async (append) => {
      for await (const { record, bytes } of readMetricLines(this.#path)) {
        if (record.step > step) continue;
        if (record.step === step) splits.add(record.split);
        seconds = record.seconds;
        end += bytes.length + newline.length;
        await append(Buffer.concat([bytes, newline]));
      }
    });
    this.#lines = new AppendFile(this.#path, end);
    this.#secondsBefore = seconds;
    this.#since = performance.now();
    this.#resumed = { step, splits };
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
    if (this.#resumed !== undefined) {
      file.append(restartRecord(this.#resumed.step + 1, wallTime));
    }
    return file;
  }
}
