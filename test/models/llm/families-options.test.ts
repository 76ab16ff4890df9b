/** No option of a golden checkpoint is idle: a decoder without it gives other logits than transformers. */
import test from "ava";
import {
  Decoder,
  type DecoderOptions,
  loadDecoder,
  restoreDecoder,
} from "../../../src/models/index.js";
import { memory } from "../../../src/tensor/index.js";
import {
  difference,
  type GoldenCase,
  goldenCases,
  goldenFolder,
  goldenOptions,
  logitsOf,
  readGolden,
} from "./golden-case.js";

/** Changes that need no other weights; undefined where the decoder has nothing to change. */
const changes: Readonly<
  Record<string, (options: DecoderOptions) => Partial<DecoderOptions> | undefined>
> = {
  "no windows": ({ windows }) =>
    windows?.some((each) => each !== undefined) ? { windows: undefined } : undefined,
  "windows a token wider": ({ windows }) =>
    windows?.some((each) => each !== undefined)
      ? { windows: windows.map((each) => each && each + 1) }
      : undefined,
  "windows in other layers": ({ windows }) =>
    windows && new Set(windows).size > 1
      ? { windows: windows.toReversed().slice(1).concat(3) }
      : undefined,
  "one base for all layers": ({ windowPositions }) =>
    windowPositions && { windowPositions: undefined },
  "another base": ({ positions }) =>
    positions === "learned" || positions.width === 2 // a single pair turns by 1, whatever the base
      ? undefined
      : { positions: { ...positions, base: 50, inverseFrequencies: undefined } },
  "angles that are not scaled": ({ positions }) =>
    positions !== "learned" && positions.inverseFrequencies
      ? { positions: { ...positions, inverseFrequencies: undefined } }
      : undefined,
  "pairs of neighbours": ({ positions }) =>
    positions === "learned" || positions.width === 2
      ? undefined
      : { positions: { ...positions, style: "interleaved" } },
  "whole heads that turn": ({ positions, headWidth, width, heads }) =>
    positions !== "learned" && positions.width !== (headWidth ?? width / heads)
      ? { positions: { ...positions, width: undefined } }
      : undefined,
  "another scale": ({ attention }) => ({ attention: { ...attention, scale: 0.4 } }),
  "no limit of scores": ({ attention }) =>
    attention?.softCap ? { attention: { ...attention, softCap: undefined } } : undefined,
  "no limit of logits": ({ softCap }) => (softCap ? { softCap: undefined } : undefined),
  "embeddings as they are": ({ embeddingScale }) =>
    embeddingScale ? { embeddingScale: undefined } : undefined,
  "norms without an offset": ({ norm }) =>
    norm.unitOffset ? { norm: { ...norm, unitOffset: false } } : undefined,
  "another epsilon": ({ norm }) => ({ norm: { ...norm, eps: 1e-3 } }),
  "in parallel, or not": ({ parallel, normAfter }) =>
    normAfter ? undefined : { parallel: !parallel },
  "another activation": ({ mlp }) =>
    mlp.kind === "gated"
      ? { mlp: { ...mlp, activation: mlp.activation === "silu" ? "gelu" : "silu" } }
      : { mlp: { ...mlp, activation: mlp.activation === "gelu" ? "geluExact" : "gelu" } },
};

for (const name of goldenCases)
  test.serial(`${name}: every option matters`, async (t) => {
    const before = memory().tensors;
    const golden = readGolden<GoldenCase>(`${name}/golden.json`);
    const { decoder, family } = await loadDecoder(goldenFolder(name));
    decoder.dispose();
    const options = goldenOptions(name);
    const seen: string[] = [];
    for (const [title, change] of Object.entries(changes)) {
      const changed = change(options);
      if (!changed) continue;
      using other = new Decoder({ ...options, ...changed }, { std: 0 });
      await restoreDecoder(goldenFolder(name), other.eval(), { family });
      const error = difference(await logitsOf(other, golden.sequences), golden.logits);
      seen.push(`${title} ${error.toExponential(0)}`);
      t.true(error > 5e-5, `${title}: ${error}`);
    }
    t.log(seen.join(", "));
    t.true(seen.length >= 3);
    t.is(memory().tensors, before, "tensors leaked");
  });
