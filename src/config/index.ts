export { type ConfigObject, type ConfigPath, nest, valueAt } from "./keys.js";
export { environmentLayers, type Layer, layer, setLayer } from "./layer.js";
export { checkConfig, type Problem, type Resolution, resolveConfig } from "./resolve.js";
export {
  expectation,
  jsonSchema,
  nodesAt,
  optionsOf,
  type SchemaNode,
  type SchemaOption,
} from "./schema.js";
export { parseConfig, readConfigFile } from "./yaml.js";
