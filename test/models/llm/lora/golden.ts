/** Goldens of adapters: scripts/goldens-lora.py. */
import { fileURLToPath } from "node:url";
import { llmFamilies, loadDecoder } from "../../../../src/models/index.js";
import { openSafetensors, type Tensor } from "../../../../src/tensor/index.js";

export class LoraGolden implements Disposable {
  private constructor(
    /** The base, in Hugging Face's layout. */
    readonly folder: string,
    readonly tensors: ReadonlyMap<string, Tensor>,
  ) {}

  static async open(modelType: string): Promise<LoraGolden> {
    const folder = fileURLToPath(new URL(`../../../golden/lora/${modelType}`, import.meta.url));
    const file = await openSafetensors(`${folder}/expected.safetensors`);
    const tensors = await file.readAll();
    await file.close();
    return new LoraGolden(folder, tensors);
  }

  get adapter(): string {
    return `${this.folder}/adapter`;
  }

  get(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`the golden has no "${name}"`);
    return tensor;
  }

  async ids(name = "ids"): Promise<Int32Array> {
    return (await this.get(name).data()) as Int32Array;
  }

  async counts(): Promise<number[]> {
    return [...(await this.ids("counts"))];
  }

  /** The tensors whose names begin so, by the rest of the name. */
  under(prefix: string): Map<string, Tensor> {
    return new Map(
      [...this.tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
  }

  [Symbol.dispose](): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
  }
}

/** The families with a golden, and whether they are supported. */
export const goldenTypes = ["llama", "gpt2", "gpt_neox"].map((modelType) => ({
  modelType,
  supported: llmFamilies.some((family) => family.modelType === modelType),
}));

export const loadBase = (golden: LoraGolden, dtype: "float32" | "bfloat16" = "float32") =>
  loadDecoder(golden.folder, { dtype });
