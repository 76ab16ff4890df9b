import { existsSync } from "node:fs";
import { join } from "node:path";

/** The path that a user means: `first` is `runs/first`, unless there is a `first` here. */
export function runPath(named: string): string {
  const below = join("runs", named);
  return !existsSync(named) && existsSync(below) ? below : named;
}
