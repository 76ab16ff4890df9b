import type { Check } from "./check.js";

/** The optional sorter for data that is larger than memory. */
export async function checkDuckDB(): Promise<Check> {
  try {
    const { default: duckdb } = await import("@duckdb/node-api");
    const version = duckdb.version();
    return { name: "duckdb", status: "ok", found: version, details: { version } };
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
    return {
      name: "duckdb",
      status: "warn",
      found: absent
        ? "not installed (optional): events are sorted in memory"
        : `does not load: ${(error as Error).message}`,
      remedy: "npm install @duckdb/node-api",
    };
  }
}

/** What reads Parquet; a dependency, so it is there unless the installation is broken. */
export async function checkParquet(): Promise<Check> {
  try {
    await Promise.all([import("hyparquet"), import("hyparquet-compressors")]);
    return { name: "hyparquet", status: "ok", found: "reads Parquet" };
  } catch (error) {
    const found = `does not load: ${(error as Error).message}`;
    return { name: "hyparquet", status: "fail", found, remedy: "npm install" };
  }
}
