/** Embeds in parts and says after each how many there are: `embed-child.ts <bundle> <prepared> <out> <shards>`. */
import { PreparedData } from "../../src/data/index.js";
import { embed } from "../../src/recipes/embed/index.js";
import { loadEncoder } from "../../src/recipes/encoder-bundle/index.js";

const [bundle = "", prepared = "", out = "", shards = ""] = process.argv.slice(2);
using encoder = await loadEncoder(bundle);
using data = await PreparedData.open(prepared);
for (let index = 0; index < Number(shards); index++) {
  await embed(encoder, data, { out, shard: { index, of: Number(shards) } });
  process.send!(index + 1);
}
