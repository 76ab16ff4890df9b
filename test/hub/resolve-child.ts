/** Resolves a model in a process of its own: `endpoint cache`. Prints how far it is, then the folder. */
import { resolveModel } from "../../src/hub/index.js";

const [endpoint, cache] = process.argv.slice(2);
const folder = await resolveModel("org/tiny", {
  ...{ endpoint, cache, env: {} },
  onProgress: ({ done }) => console.log(`done ${done}`),
});
console.log(`folder ${folder}`);
