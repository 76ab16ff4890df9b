/** Takes the lock of a folder, says so or not, and stays until it is ended. */
import { FolderLock } from "../../../src/train/run/folder-lock.js";

const lock = await FolderLock.take(process.argv[2]!);
process.stdout.write(lock === undefined ? "refused\n" : "taken\n");
if (lock !== undefined) setInterval(() => {}, 1000);
