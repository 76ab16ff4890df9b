import { type AdaptableLinear, Linear, LoraLinear } from "../../../nn/index.js";
import type { Decoder } from "../decoder.js";
import type { LlmFamily, StoredLayout } from "../family.js";
import { storedModule } from "../stored-tensors.js";

/** A linear layer of a decoder that an adapter may take the place of. */
export interface AdaptablePlace {
  /** In the family's checkpoints: `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly layout: StoredLayout | undefined;
  /** What is there now. */
  readonly linear: AdaptableLinear;
  /** Puts another layer there. */
  replace(linear: AdaptableLinear): void;
}

/** All linear layers of a decoder but the head, in the order of the parameters. */
export function placesOf(decoder: Decoder, family: LlmFamily): AdaptablePlace[] {
  return linearsOf(decoder).map(({ path, ...place }) => {
    const { name, layout } = storedModule(path, family);
    return { name, layout, ...place };
  });
}

/** The layers with adapters, by their names in the family's checkpoints. */
export function adaptedLinears(decoder: Decoder, family: LlmFamily): Map<string, LoraLinear> {
  return new Map(
    placesOf(decoder, family).flatMap(({ name, linear }) =>
      linear instanceof LoraLinear ? [[name, linear] as const] : [],
    ),
  );
}

interface LinearField extends Omit<AdaptablePlace, "name" | "layout"> {
  /** `layers.0.attention.query` */
  readonly path: string;
}

export function linearsOf(decoder: Decoder): LinearField[] {
  return decoder.layers.flatMap(({ attention, mlp }, i) =>
    Object.entries({ attention, mlp }).flatMap(([part, owner]) =>
      Object.entries(owner).flatMap(([field, linear]: [string, unknown]) => {
        if (!(linear instanceof Linear || linear instanceof LoraLinear)) return [];
        const replace = (by: AdaptableLinear) => void Reflect.set(owner, field, by);
        return [{ path: `layers.${i}.${part}.${field}`, linear, replace }];
      }),
    ),
  );
}
