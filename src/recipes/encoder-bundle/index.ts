export type {
  CardFeature,
  EncoderCard,
  EncoderProvenance,
  StoredFile,
} from "./encoder-card.js";
export { findEncoder } from "./find-encoder.js";
export {
  type LoadEncoderOptions,
  type LoadedEncoder,
  loadEncoder,
  restoreEncoder,
} from "./load-encoder.js";
export { type SaveEncoderOptions, saveEncoder } from "./save-encoder.js";
