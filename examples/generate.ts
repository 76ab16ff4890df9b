/**
 * Lets a language model go on with a text, word for word as it comes, and then shows how sure it was.
 *
 *     node --import=tsx examples/generate.ts HuggingFaceTB/SmolLM2-135M "Once upon a time"
 */
import { generate, generateStream, LanguageModel } from "user-llm/generate";

const [idOrFolder = "HuggingFaceTB/SmolLM2-135M", prompt = "Once upon a time"] =
  process.argv.slice(2);

using model = await LanguageModel.load(idOrFolder);

process.stdout.write(prompt);
const options = { temperature: 0.7, topP: 0.9, seed: 1, maxNewTokens: 60 };
for await (const { text } of generateStream(model, prompt, options)) process.stdout.write(text);
process.stdout.write("\n\n");

// What else the model might have begun with.
const [likeliest] = await generate(model, prompt, {
  maxNewTokens: 1,
  topLogProbabilities: 5,
});
for (const { id, logProbability } of likeliest?.topLogProbabilities?.[0] ?? [])
  console.log(`${(100 * Math.exp(logProbability)).toFixed(1)} %`, model.tokenizer.token(id));
