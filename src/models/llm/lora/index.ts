export { type AddLoraOptions, addLora } from "./add-lora.js";
export {
  type LoadAdapterOptions,
  type LoadedAdapter,
  loadAdapter,
  restoreAdapter,
} from "./load-adapter.js";
export { mergeAdapter, removeAdapter } from "./merge-adapter.js";
export { type AdaptablePlace, adaptedLinears, placesOf } from "./places.js";
export { type SaveAdapterOptions, saveAdapter } from "./save-adapter.js";
export { defaultTargets, type LoraTargets } from "./targets.js";
