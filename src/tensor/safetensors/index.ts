export type { StoredDType } from "./header.js";
export {
  openSafetensors,
  type ReadOptions,
  readShardNames,
  SafetensorsFile,
  type SafetensorsInfo,
} from "./read.js";
export { type SavedTensors, type SaveSafetensorsOptions, saveSafetensors } from "./write.js";
export type { DeferredTensor, StorageDType } from "./write-tensors.js";
