import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { DataError } from "../../errors.js";
import { receiptName } from "../download/receipt.js";
import { fileFault, isSystemError } from "../files/file-fault.js";

interface Match {
  readonly path: string;
  readonly group: string;
}

/** A folder with raw files, each as it is or in gzip. */
export class Folder {
  private constructor(
    readonly path: string,
    /** Names of what is in it, sorted, without the receipt of a download. */
    readonly names: readonly string[],
  ) {}

  /** @throws DataError when it cannot be read, or is no folder */
  static async open(path: string): Promise<Folder> {
    try {
      const names = (await readdir(path)).filter((name) => name !== receiptName);
      return new Folder(path, names.sort());
    } catch (error) {
      if (!isSystemError(error, "ENOTDIR")) throw fileFault(error, path, "read");
      const hint = path.endsWith(".zip") ? "; unpack it and give the folder" : "";
      throw new DataError(`${path}: expected a folder, got a file${hint}`);
    }
  }

  /** Path of the file with this name, or with this name and `.gz`; undefined without either. */
  find(name: string): string | undefined {
    const found = [name, `${name}.gz`].find((candidate) => this.names.includes(candidate));
    return found && join(this.path, found);
  }

  /**
   * Files of reviews, each with its metadata.
   *
   * @throws DataError when one has none, or two are of the same category
   */
  pair(reviews: readonly Match[], metadata: readonly Match[], prefix: string) {
    for (const [i, { path, group }] of reviews.entries()) {
      const other = reviews.slice(0, i).find((earlier) => earlier.group === group);
      if (other !== undefined) {
        throw new DataError(
          `${this.path}: ${basename(other.path)} and ${basename(path)} have the same reviews; keep one`,
        );
      }
      if (metadata.filter((file) => file.group === group).length !== 1) {
        throw this.lacks(`one ${prefix}${group} beside ${basename(path)}`);
      }
    }
    const groups = new Set(reviews.map(({ group }) => group));
    const paths = (files: readonly Match[]) => files.map(({ path }) => path);
    return {
      reviews: paths(reviews),
      metadata: paths(metadata.filter(({ group }) => groups.has(group))),
    };
  }

  /** Paths of the files whose names, without `.gz`, match; with what the first group matched. */
  match(pattern: RegExp): Match[] {
    return this.names.flatMap((name) => {
      const match = pattern.exec(name.replace(/\.gz$/, ""));
      return match === null ? [] : { path: join(this.path, name), group: match[1] ?? "" };
    });
  }

  /** The error of a folder that does not have what was looked for. */
  lacks(expected: string): DataError {
    const shown = this.names.slice(0, 10).join(", ");
    const more = this.names.length > 10 ? `, and ${this.names.length - 10} more` : "";
    const found = this.names.length === 0 ? "an empty folder" : `${shown}${more}`;
    const zip = this.names.find((name) => name.endsWith(".zip"));
    const hint = zip === undefined ? "" : `; if ${zip} has them, unpack it`;
    return new DataError(`${this.path}: expected ${expected}, got ${found}${hint}`);
  }
}
