export * from "./encoders/index.js";
export * from "./llm/index.js";
