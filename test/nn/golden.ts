/** Goldens of layers: scripts/goldens-nn.py. */
import { fileURLToPath } from "node:url";
import { type Module, openSafetensors, type Tensor } from "../../src/index.js";

export class LayerGolden {
  private constructor(readonly tensors: ReadonlyMap<string, Tensor>) {}

  static async open(layer: string): Promise<LayerGolden> {
    const path = fileURLToPath(new URL(`../golden/nn/${layer}.safetensors`, import.meta.url));
    const file = await openSafetensors(path);
    const tensors = await file.readAll();
    await file.close();
    return new LayerGolden(tensors);
  }

  get(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`the golden has no "${name}"`);
    return tensor;
  }

  /** The tensors whose names begin so, by the rest of the name. */
  under(prefix: string): Map<string, Tensor> {
    return new Map(
      [...this.tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
  }

  /** Gives `layer` the golden's parameters. */
  load<T extends Module>(layer: T): T {
    layer.loadStateDict(this.under("parameter."));
    return layer;
  }
}

export const largest = (values: Float32Array): number =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
