export { type LoadTensorsOptions, loadTensors, type WantedTensor } from "./load-tensors.js";
export { Checkpoint, openCheckpoint, type ReadWeightOptions } from "./open-checkpoint.js";
export { type JsonObject, readJsonObject, readJsonObjectIfThere } from "./read-json.js";
export { type SaveCheckpointOptions, saveCheckpoint } from "./save-checkpoint.js";
