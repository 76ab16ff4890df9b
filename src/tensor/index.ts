import { printProfileAtExit } from "./profile.js";

export {
  bytesPerElement,
  type DType,
  dtypes,
  fromBFloat16,
  isFloat,
  type TensorData,
  toBFloat16,
} from "./dtype.js";
export {
  emptyCache,
  keep,
  type MemoryStats,
  memory,
  resetPeakMemory,
  tidy,
} from "./memory.js";
export { type OpProfile, profile, profileTable } from "./profile.js";
export * from "./safetensors/index.js";
export {
  type CpuInfo,
  cpuInfo,
  libraryFile,
  measurePeak,
  Pacer,
  type Peak,
  synchronize,
} from "./stream.js";
export {
  type Device,
  type NestedNumbers,
  type Shape,
  Tensor,
  type TensorOptions,
  tensor,
} from "./tensor.js";

printProfileAtExit();
