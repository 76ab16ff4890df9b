import test from "ava";
import {
  CheckpointError,
  Dropout,
  Embedding,
  LayerNorm,
  Linear,
  MLP,
  Module,
  memory,
  Parameter,
  tensor,
  UsageError,
  zeros,
} from "../../src/index.js";

class Model extends Module {
  readonly embedding = new Embedding(5, 4);
  readonly blocks = [new Linear(4, 4), new Linear(4, 4, { bias: false })];
  readonly norm = new LayerNorm(4);
  readonly tied = this.embedding.weight;
  readonly label = "not a parameter";
  readonly scale = new Parameter(tensor([2]));
}

test("parameters are found in field order, with their paths, each once", (t) => {
  using model = new Model();
  t.deepEqual(
    [...model.namedParameters()].map(([path]) => path),
    [
      "embedding.weight",
      "blocks.0.weight",
      "blocks.0.bias",
      "blocks.1.weight",
      "norm.weight",
      "norm.bias",
      "scale",
    ],
  );
  t.is(model.parameterCount, 20 + 16 + 4 + 16 + 4 + 4 + 1);
});

test("a module that is not trainable gives no parameters to optimizers", (t) => {
  using model = new Model();
  model.blocks[0]!.setTrainable(false);
  t.is(model.trainable().length, 5);
  t.is(model.parameters().length, 7);
});

test("train and eval reach every part", (t) => {
  class Outer extends Module {
    readonly inner = [new Dropout(0.5)];
  }
  const outer = new Outer();
  t.true(outer.inner[0]!.training);
  outer.eval();
  t.false(outer.inner[0]!.training);
  const x = zeros([3]);
  t.is(outer.inner[0]!.forward(x), x);
  outer.train();
  t.true(outer.inner[0]!.training);
  x.dispose();
});

test("loading a state changes the parameters, and leaves the given tensors alone", async (t) => {
  using model = new Linear(2, 2);
  const weight = tensor([
    [1, 2],
    [3, 4],
  ]);
  const bias = tensor(Float64Array.of(5, 6));
  t.deepEqual(
    model.loadStateDict(
      new Map([
        ["weight", weight],
        ["bias", bias],
      ]),
    ),
    { missing: [], unexpected: [] },
  );
  t.deepEqual(await model.weight.value.toArray(), [
    [1, 2],
    [3, 4],
  ]);
  t.is(model.bias!.value.dtype, "float32");
  weight.dispose();
  bias.dispose();
  t.deepEqual(await model.bias!.value.toArray(), [5, 6]);
});

test("a state that does not fit is refused whole", async (t) => {
  using model = new Linear(2, 2);
  const before = await model.weight.value.toArray();
  using good = zeros([2, 2]);
  using wrong = zeros([3]);
  t.throws(() => model.loadStateDict(new Map([["weight", good]])), {
    instanceOf: CheckpointError,
    message: "missing: bias",
  });
  t.throws(
    () =>
      model.loadStateDict(
        new Map([
          ["weight", good],
          ["bias", wrong],
        ]),
      ),
    { instanceOf: CheckpointError, message: /bias: the checkpoint has \[3\], the module \[2\]/ },
  );
  t.deepEqual(await model.weight.value.toArray(), before);
  t.deepEqual(
    model.loadStateDict(
      new Map([
        ["weight", good],
        ["extra", wrong],
      ]),
      { strict: false },
    ),
    { missing: ["bias"], unexpected: ["extra"] },
  );
});

test("a parameter is replaced only by its like", (t) => {
  using parameter = new Parameter(zeros([2]));
  using other = zeros([3]);
  t.throws(() => parameter.assign(other), { instanceOf: UsageError });
});

test("disposing a module frees all it holds", (t) => {
  const before = memory().tensors;
  const model = new MLP(8);
  t.is(memory().tensors, before + 4);
  model.dispose();
  t.is(memory().tensors, before);
});

test("whole numbers belong to a model and its state, and are never trained", async (t) => {
  class Genres extends Module {
    readonly table = new Embedding(3, 2);
    readonly ofItems = new Parameter(tensor(Int32Array.of(2, 0, 1)));
  }
  using model = new Genres();
  model.setTrainable(true);
  model.ofItems.trainable = true;
  t.deepEqual(model.trainable(), [model.table.weight]);
  t.is(model.parameterCount, 6);
  using loaded = new Genres();
  loaded.ofItems.assign(zeros([3], { dtype: "int32" }));
  loaded.loadStateDict(model.stateDict());
  t.deepEqual(await loaded.ofItems.value.toArray(), [2, 0, 1]);
});
