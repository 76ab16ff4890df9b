import { generate, LanguageModel } from "../../generate/index.js";
import { family } from "./llama-config.js";
import type { LmPretraining } from "./open-lm.js";

/** How the model, as it is, goes on from the prompt, with the prompt; undefined where no samples are wanted. */
export async function writeSample(
  { section, decoder, modelConfig, texts: { tokenizer } }: LmPretraining,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { prompt, tokens, temperature } = section.samples;
  if (tokens === 0) return undefined;
  const { bos, eos } = tokenizer.specials;
  const model = new LanguageModel({
    ...{ decoder, tokenizer, family, config: modelConfig, folder: "the model in training" },
    generation: {
      endTokens: eos === undefined ? [] : [eos],
      beginToken: bos ?? eos,
      recommended: {},
    },
  });
  const options = { maxNewTokens: tokens, temperature, seed: 0, signal };
  const [generation] = await generate(model, prompt, options);
  return prompt + generation!.text;
}
