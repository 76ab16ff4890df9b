/** The section `finetune` of a configuration: a language model that goes on learning from examples. */
import { z } from "zod";
import { languageTrainingConfig } from "../../train/language/config.js";

const whole = (least: number) => z.int().min(least);
const field = z.string().min(1);
const paths = z.array(z.string().min(1)).min(1).meta({ "x-expects": "a list that is not empty" });

const data = z
  .strictObject({
    files: paths.describe("Files, folders and patterns of JSON lines, also in gzip."),
    prompt: field
      .default("prompt")
      .describe("The field with what is read, but not learnt; a line may lack it."),
    completion: field.default("completion").describe("The field with what is learnt."),
    messages: field
      .optional()
      .describe(
        "The field with a conversation, in place of the two: answers of the assistant are learnt, as the model's chat template writes them.",
      ),
    text: field
      .optional()
      .describe(
        "The field with a text that is learnt whole, in place of all of these; files of plain text are read, too.",
      ),
    separator: z
      .string()
      .min(1)
      .optional()
      .describe("Of plain text: what stands between documents; else a file is one."),
    validationFiles: paths
      .optional()
      .describe("Examples to validate on; else some of them are held out."),
    heldOut: whole(2)
      .nullable()
      .default(20)
      .describe("One example of so many is held out, the first among them; `null` for none."),
  })
  .refine(({ messages, text }) => messages === undefined || text === undefined, {
    message: "messages and text exclude each other: a line is one or the other",
  });

const lora = z.strictObject({
  rank: whole(1).default(8).describe("Of the matrices that are added to a weight."),
  alpha: z.number().positive().default(16).describe("What they add is multiplied by alpha / rank."),
  rankStabilized: z.boolean().default(false).describe("Whether it is alpha / √rank instead."),
  dropout: z.number().min(0).lt(1).default(0).describe("On what they see, while training."),
  targets: z
    .union([z.array(z.string().min(1)).min(1), z.string().min(1)])
    .optional()
    .meta({
      description:
        "Layers that get adapters, as Hugging Face names them: a list of ends of names, `all-linear`, or a regular expression of whole names; else PEFT's for the model.",
      "x-expects": "a list of names, or a text",
    }),
});

export const finetuneConfig = z.strictObject({
  llm: z
    .string()
    .min(1)
    .describe("The model: a folder in Hugging Face's layout, or the id of a model on its hub."),
  strategy: z
    .enum(["lora", "full"])
    .default("lora")
    .describe("`lora` trains low-rank adapters beside frozen weights, `full` all weights."),
  precision: z
    .enum(["float32", "bfloat16"])
    .default("float32")
    .describe(
      "`bfloat16`: what frozen weights are kept in, or what weights in training multiply in.",
    ),
  lora: lora.prefault({}).describe("The adapters of `strategy: lora`."),
  data: data.describe("What is learnt, and what is validated on."),
  length: whole(1)
    .optional()
    .describe(
      "Most tokens of an example; of a text, tokens of a window. Else 1,024, or fewer where the model or a batch has no room for them.",
    ),
  tooLong: z
    .enum(["error", "shorten-prompt"])
    .default("error")
    .describe(
      "What is done about a longer example: refuse it, or drop its prompt's oldest tokens.",
    ),
  activationCheckpointing: z
    .boolean()
    .default(false)
    .describe(
      "Whether layers are computed again for their gradients: less memory, a third more time.",
    ),
  training: languageTrainingConfig
    .extend({
      epochs: z
        .number()
        .positive()
        .default(3)
        .describe("Passes over the examples, where `steps` is not given."),
      learningRate: z
        .number()
        .positive()
        .default(2e-4)
        .describe("The highest learning rate; a tenth of it suits `strategy: full`."),
    })
    .prefault({})
    .describe("How it is trained."),
});

export type FinetuneConfig = z.output<typeof finetuneConfig>;
