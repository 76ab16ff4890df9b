"""Golden outputs of the dual encoder: the same towers and losses in PyTorch, from the same weights.

    python scripts/goldens-dual.py

Writes test/golden/dual/<case>.safetensors: the batch (in.*), parameters by our names (parameter.*), user embeddings
(embed), the table of items (table), the loss, and its gradients (grad.*). Computed in float64 from float32 parameters.
"""

from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

SEED = 11
ITEMS, RATINGS, BRANDS, GENRES = 7, 5, 3, 4
LENGTH, LAYERS, HEADS, WIDTH, HIDDEN = 5, 1, 2, 8, 12

# Of each item; -1 is missing.
ITEM_BRANDS = torch.tensor([0, 2, -1, 1, 1, 0, 2])
ITEM_GENRES = [[0, 3], [], [1], [2, 0, 1], [3], [], [1, 2]]
ITEM_TARGETS = torch.tensor([5.0, 0, 2, 9, 1, 3, 4])

LENGTHS = torch.tensor([5, 3, 1, 4])
HISTORY = torch.tensor([[0, 3, 3, 6, 1], [2, 4, 5, 0, 0], [6, 0, 0, 0, 0], [1, 2, 0, 5, 0]])
RATED = torch.tensor([[0, 5, 4, 2, 1], [3, 3, 5, 0, 0], [1, 0, 0, 0, 0], [2, 5, 0, 4, 0]])
LABELS = torch.tensor([3, 0, 3, 6])


class Layer(import_module("goldens-nn").Layer):
    """Parameters exact in float32, computed with in float64."""

    def parameter(self, name, make):
        return super().parameter(name, lambda: make().float().double())

    def table(self, name, rows, width):
        return self.parameter(f"{name}.weight", lambda: torch.randn(rows, width))

    def block(self, name, x, heads, hidden, lengths):
        width = x.shape[-1]
        qkv = self.linear(f"{name}.attention.qkv", self.layer_norm(f"{name}.attentionNorm", x), 3 * width)
        attended = self.attend(*qkv.chunk(3, -1), width // heads, lengths)
        x = x + self.linear(f"{name}.attention.output", attended, width)
        return x + self.mlp(f"{name}.mlp", self.layer_norm(f"{name}.mlpNorm", x), hidden)

    def residual_mlp(self, name, x):
        return x + self.mlp(f"{name}.mlp", self.layer_norm(f"{name}.norm", x), HIDDEN)


def mean_of(table, bag):
    return table[bag].mean(0) if bag else torch.zeros(table.shape[1])


def feature_tower(layer, feature, width, outputs):
    """[size, outputs, width]: two heads for the item, one for narrower features."""
    name = f"user.towers.{feature}"
    heads = HEADS * width // WIDTH
    rows = {"item": ITEMS, "rating": RATINGS + 1, "genres": GENRES}[feature]
    table = layer.table(f"{name}.table", rows, width)
    if feature == "genres":
        of_items = torch.stack([mean_of(table, bag) for bag in ITEM_GENRES])
        x = of_items[HISTORY]
    else:
        x = table[{"item": HISTORY, "rating": RATED}[feature]]
    positions = layer.table(f"{name}.positions", LENGTH, width)
    x = x + positions[(LENGTHS[:, None] - 1 - torch.arange(LENGTH)).clamp(min=0)]
    hidden = -(-HIDDEN * width // WIDTH)
    for i in range(LAYERS):
        x = layer.block(f"{name}.blocks.{i}", x, heads, hidden, LENGTHS)
    context = layer.layer_norm(f"{name}.norm", x)
    last = context[torch.arange(len(LENGTHS)), LENGTHS - 1][:, None]
    starts = last + layer.parameter(f"{name}.starts", lambda: torch.randn(outputs, width))
    query = layer.layer_norm(f"{name}.startNorm", starts)
    return starts + layer.cross_attention(f"{name}.readout", query, context, heads, width // heads, LENGTHS)


def user_tower(layer, features, outputs):
    x = torch.cat([feature_tower(layer, name, width, outputs) for name, width in features.items()], -1)
    if len(features) > 1:
        x = layer.linear("user.projection", x, WIDTH)
    return layer.layer_norm("user.norm", layer.residual_mlp("user.fusion.0", x))


def label_tower(layer, features, tied):
    parts = []
    for name, width in features.items():
        if name == "item":
            parts.append(layer.table("user.towers.item.table" if tied else "labels.ids", ITEMS, width))
            continue
        table = layer.table(f"labels.features.{name}.table", {"brand": BRANDS, "genres": GENRES}[name], width)
        bags = ITEM_GENRES if name == "genres" else [[int(brand)] if brand >= 0 else [] for brand in ITEM_BRANDS]
        parts.append(torch.stack([mean_of(table, bag) for bag in bags]))
    x = torch.cat(parts, -1)
    if len(features) > 1:
        x = layer.linear("labels.projection", x, WIDTH)
    return layer.residual_mlp("labels.mlp", x)


CASES = {
    # Cosines over the batch, corrected for how often items are labels; the towers share the item's table.
    "in-batch": {
        "user": {"item": 8, "rating": 4, "genres": 4},
        "label": {"item": 8, "brand": 4, "genres": 4},
        "outputs": 1,
        "tied": True,
    },
    # Products over the whole catalogue, the highest of three.
    "full": {"user": {"item": 8}, "label": {"item": 8, "genres": 4}, "outputs": 3, "tied": False},
}


def case(user, label, outputs, tied):
    layer = Layer()
    embed = user_tower(layer, user, outputs)
    table = label_tower(layer, label, tied)
    if outputs == 1:
        query, table = F.normalize(embed, dim=-1) / 0.1, F.normalize(table, dim=-1)
        scores = (query @ table[LABELS].T).squeeze(1) - (ITEM_TARGETS[LABELS] / ITEM_TARGETS.sum()).log()
        same = (LABELS[:, None] == LABELS) & ~torch.eye(len(LABELS), dtype=torch.bool)
        loss = F.cross_entropy(scores.masked_fill(same, -torch.inf), torch.arange(len(LABELS)))
    else:
        loss = F.cross_entropy((embed @ table.T).amax(1), LABELS)
    loss.backward()
    tensors = {"embed": embed, "table": table, "loss": loss}
    tensors |= {f"parameter.{name}": value for name, value in layer.parameters.items()}
    tensors |= {f"grad.{name}": value.grad for name, value in layer.parameters.items()}
    return {name: value.detach().float().contiguous() for name, value in tensors.items()}


def main() -> None:
    torch.set_default_dtype(torch.float64)
    folder = Path(__file__).parent.parent / "test/golden/dual"
    folder.mkdir(parents=True, exist_ok=True)
    for name, described in CASES.items():
        torch.manual_seed(SEED)
        metadata = {"torch": torch.__version__, "seed": str(SEED)}
        save_file(case(**described), folder / f"{name}.safetensors", metadata=metadata)


if __name__ == "__main__":
    main()
