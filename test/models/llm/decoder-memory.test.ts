import test from "ava";
import { ConfigReader, Decoder, decoderMemory, familyOf } from "../../../src/models/index.js";
import { noGrad } from "../../../src/ops/index.js";
import { memory, tensor, tidy } from "../../../src/tensor/index.js";
import { goldenCases, goldenOptions } from "./golden-case.js";

/** What their authors say they have. */
const published: readonly [Record<string, unknown>, number][] = [
  [
    {
      model_type: "gpt2",
      ...sizes(50257),
      n_embd: 768,
      n_layer: 12,
      n_head: 12,
      n_positions: 1024,
    },
    124_439_808,
  ],
  [
    { model_type: "llama", ...sizes(49152, 576, 1536, 30, 9, 3), tie_word_embeddings: true },
    134_515_008,
  ],
  [
    { model_type: "qwen2", ...sizes(151936, 896, 4864, 24, 14, 2), tie_word_embeddings: true },
    494_032_768,
  ],
  [{ model_type: "gemma2", ...sizes(256000, 2304, 9216, 26, 8, 4) }, 2_614_341_888],
  [{ model_type: "mistral", ...sizes(32000, 4096, 14336, 32, 32, 8) }, 7_241_732_096],
];

for (const [json, parameters] of published)
  test(`a ${json.model_type} has ${parameters} parameters`, (t) => {
    const config = new ConfigReader(json);
    t.is(decoderMemory(familyOf(config).options(config)).parameters, parameters);
  });

function sizes(
  vocabulary: number,
  width?: number,
  hidden?: number,
  layers?: number,
  heads?: number,
  kvHeads?: number,
) {
  return {
    ...{ vocab_size: vocabulary, hidden_size: width, intermediate_size: hidden },
    ...{ num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: kvHeads },
  };
}

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
