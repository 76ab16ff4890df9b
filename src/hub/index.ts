export { type ResolveModelOptions, resolveModel } from "./resolve-model.js";
export { type HubOptions, type HubSettings, hubCache, hubSettings } from "./settings.js";
