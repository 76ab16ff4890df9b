import test from "ava";
import { Decoder, decoderMemory } from "../../../src/models/index.js";
import { noGrad } from "../../../src/ops/index.js";
import { memory, tensor, tidy } from "../../../src/tensor/index.js";
import { goldenCases, goldenOptions } from "./golden-case.js";

const bytes = { float32: 4, bfloat16: 2, float64: 8 } as const;

for (const name of [...goldenCases, "llama with a bias of the head"])
  for (const dtype of ["float32", "bfloat16"] as const)
    test.serial(`${name} in ${dtype} takes what is foreseen`, (t) => {
      const before = memory().tensors;
      const headBias = name.startsWith("llama with");
      const options = { ...goldenOptions(headBias ? "llama" : name), headBias };
      {
        using decoder = new Decoder(options, { std: 0, dtype });
        const foreseen = decoderMemory(options, { dtype, batch: 3, tokens: 20 });
        t.is(foreseen.parameters, decoder.parameterCount);
        const parameters = [...decoder.namedParameters()];
        const weights = parameters.reduce(
          (sum, [, { value }]) => sum + value.size * bytes[value.dtype as keyof typeof bytes],
          0,
        );
        t.is(foreseen.weights, weights);
        using cache = decoder.newCache({ batch: 3, capacity: 20 });
        tidy(() => {
          noGrad(() =>
            decoder.forward(tensor(Int32Array.of(1, 2, 3)), { counts: [1, 1, 1], cache }),
          );
        });
        t.is(foreseen.cache, cache.bytes);
        t.is(foreseen.cachePerToken * 60, cache.bytes);
        const all = decoderMemory(options).cache;
        t.is(all, foreseen.cachePerToken * options.maxPositions);
      }
      t.is(memory().tensors, before);
    });
