export { bytesPerElement, type DType, dtypes, fromBFloat16, isFloat, type TensorData, toBFloat16 } from "./dtype.js";
export { emptyCache, keep, type MemoryStats, memory, resetPeakMemory, tidy } from "./memory.js";
export { type Device, type NestedNumbers, type Shape, Tensor, type TensorOptions, tensor } from "./tensor.js";
