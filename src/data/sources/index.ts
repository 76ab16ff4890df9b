export { type AmazonFiles, type AmazonLayout, type AmazonOptions, amazon } from "./amazon.js";
export { type GoogleLocalFiles, googleLocal } from "./google-local.js";
export { movielens } from "./movielens.js";
