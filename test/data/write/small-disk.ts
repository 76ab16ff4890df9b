/** Disks that fill up. Only root can make one, so tests of full disks are skipped for others. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";

/** Mounts an empty file system of a few bytes on a folder; what it returns takes it away. */
export function mountSmallDisk(folder: string, bytes: number): () => void {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder], {
    stdio: "ignore",
  });
  return () => execFileSync("umount", [folder]);
}

/** @param folder to try it in */
export function mayMount(folder: string): boolean {
  const path = join(folder, "mount");
  mkdirSync(path);
  try {
    mountSmallDisk(path, 4096)();
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(path);
  }
}
