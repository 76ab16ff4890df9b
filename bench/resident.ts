import { readFileSync } from "node:fs";

/**
 * The most memory that this process has had at a time, in bytes; undefined where the system does not tell. What
 * `getrusage` says begins with the parent's.
 */
export function residentPeak(): number | undefined {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))!;
    return Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
