export type { StoredDType } from "./header.js";
export {
  openSafetensors,
  type ReadOptions,
  SafetensorsFile,
  type SafetensorsInfo,
} from "./read.js";
export { type SaveSafetensorsOptions, saveSafetensors } from "./write.js";
