"""User embeddings of a saved autoregressive encoder (or SASRec) in plain PyTorch.

    python encoder.py <folder of the encoder> <histories.json>

The file holds a list of histories, the oldest event first: `[{"item": [17, 3], "rating": [4, 7], "genres": [[0], [0, 5]]}]`.
Numbers are rows of `items.arrow` and `vocab-<feature>.arrow`; -1 and an empty list stand for a missing value. Printed are
the embeddings at each history's last event, one list a line.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class Encoder:
    def __init__(self, folder):
        self.card = json.loads(Path(folder, "encoder.json").read_text())
        self.options, self.length = self.card["encoder"], self.card["length"]
        if self.options["kind"] not in ("autoregressive", "sasrec"):
            raise ValueError(f"a {self.options['kind']} encoder has other layers")
        self.weights = load_file(Path(folder, "model.safetensors"))
        features = self.card["features"]
        self.features = features[:1] if self.options["kind"] == "sasrec" else features

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def events(self, history):
        """Features side by side: single values, then bags, as means over their values."""
        parts = []
        for feature in sorted(self.features, key=lambda feature: feature["kind"] == "bag"):
            name, values = feature["name"], history[feature["name"]][-self.length :]
            table = self.weights[f"events.tables.{name}.weight"]
            if feature["kind"] == "bag":
                rows = [table[bag].mean(0) if bag else torch.zeros(table.shape[1]) for bag in values]
                parts.append(torch.stack(rows))
            else:  # the row behind the values' is that of a missing one
                parts.append(table[[feature["size"] if value < 0 else value for value in values]])
        x = torch.cat(parts, -1)
        return self.linear("events.projection", x) if "events.projection.weight" in self.weights else x

    def rotate(self, x):
        """`x [heads, length, width]`: element i of the first half turns with i of the second."""
        width = x.shape[-1]
        speeds = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = (torch.arange(x.shape[1], dtype=torch.float64)[:, None] * speeds).float()
        first, second = x.chunk(2, -1)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    def attention(self, name, x):
        heads, (length, width) = self.options["heads"], x.shape
        qkv = self.linear(f"{name}.qkv", x).view(length, 3, heads, width // heads)
        q, k, v = qkv.permute(1, 2, 0, 3)
        if self.options["positions"] == "rotary":
            q, k = self.rotate(q), self.rotate(k)
        attended = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        return self.linear(f"{name}.output", attended.transpose(0, 1).reshape(length, width))

    @torch.no_grad()
    def embed(self, history):
        """An embedding for each of the last `length` events: `[events, width]`."""
        x = self.events(history)
        if self.options["positions"] == "learned":
            x = x + self.weights["positions.weight"][: len(x)]
        for i in range(self.options["layers"]):
            block = f"blocks.{i}"
            x = x + self.attention(f"{block}.attention", self.norm(f"{block}.attentionNorm", x))
            up = self.linear(f"{block}.mlp.up", self.norm(f"{block}.mlpNorm", x))
            x = x + self.linear(f"{block}.mlp.down", F.gelu(up, approximate="tanh"))
        return self.norm("norm", x)


if __name__ == "__main__":
    encoder = Encoder(sys.argv[1])
    for history in json.loads(Path(sys.argv[2]).read_text()):
        print(json.dumps(encoder.embed(history)[-1].tolist()))
