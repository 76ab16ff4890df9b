export * from "./encoders/index.js";
