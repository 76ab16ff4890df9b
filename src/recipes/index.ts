export {
  type EmbeddedPart,
  type EmbeddingsCard,
  type EmbedOptions,
  type EmbedResult,
  embed,
  type Pool,
  shardOf,
} from "./embed/index.js";
export {
  type CardFeature,
  type EncoderCard,
  type EncoderProvenance,
  findEncoder,
  type LoadEncoderOptions,
  type LoadedEncoder,
  loadEncoder,
  restoreEncoder,
  type SaveEncoderOptions,
  type StoredFile,
  saveEncoder,
} from "./encoder-bundle/index.js";
export { encoderDataOf, trainingDataOf } from "./encoder-data.js";
