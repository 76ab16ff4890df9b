// What a consumer's first program might be. Prints the loss, and which binary computed it.
import { AdamW, crossEntropy, Linear, tensor, valueAndGrad } from "user-llm";

const model = new Linear(2, 3);
const optimizer = new AdamW(model.parameters());
const x = tensor([
  [1, 0],
  [0, 1],
]);
const targets = tensor([0, 2], { dtype: "int32" });

const { loss, gradients } = valueAndGrad(model.parameters(), () =>
  crossEntropy(model.forward(x), targets),
);
optimizer.step(gradients, { learningRate: 0.01 });

const report = /** @type {{ sharedObjects: string[] }} */ (process.report.getReport());
const binary = report.sharedObjects.find((path) => path.endsWith(".node"));
console.log(JSON.stringify({ loss: await loss.item(), binary }));
