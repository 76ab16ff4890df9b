"""Golden runs of the autoregressive encoder: the same model in PyTorch, from the same weights.

    python scripts/goldens-autoregressive.py

Writes test/golden/models/<encoder>.safetensors: a padded batch (in.*), parameters by our names (parameter.*), and in
float64 the embeddings of real positions, what the next item is looked for with, the losses of three steps of AdamW with
clipping, the norms of the gradients, the first gradients (first.*) and the parameters after the steps (trained.*; of the
biases in attention those of queries and values). The same run in float32 gives error.<name>, the largest difference that
rounding makes to a tensor: the measure for our float32.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

SEED = 11
ITEMS, GENRES, RATINGS, LONGEST = 23, 5, 4, 3
LENGTHS = (6, 1, 4)
WIDTH, HEADS, HIDDEN, LAYERS = 8, 2, 12, 2


class Tables(nn.Module):
    """Embeddings of each feature side by side, projected unless the item stands alone."""

    def __init__(self, widths):
        super().__init__()
        rows = {"item": ITEMS, "genre": GENRES, "rating": RATINGS + 1}
        self.tables = nn.ModuleDict({name: nn.Embedding(rows[name], width) for name, width in widths.items()})
        self.projection = nn.Linear(sum(widths.values()), WIDTH) if len(widths) > 1 else None

    def forward(self, batch):
        # Singles first, then bags.
        parts = [self.tables[name](batch[name]) for name in ("item", "rating") if name in self.tables]
        if "genre" in self.tables:
            ids, offsets = batch["genre.ids"], batch["genre.offsets"]
            bags = F.embedding_bag(ids, self.tables["genre"].weight, offsets, mode="mean", include_last_offset=True)
            parts.append(bags.unflatten(0, batch["item"].shape))
        return self.projection(torch.cat(parts, -1)) if self.projection else parts[0]


class Attention(nn.Module):
    def __init__(self, rotary):
        super().__init__()
        self.qkv, self.output, self.rotary = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH), rotary

    def forward(self, x):
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        if self.rotary:
            query, key = rotate(query), rotate(key)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(attended.transpose(1, 2).flatten(-2))


def rotate(x, base=10000.0):
    """Rotary embedding of `[batch, heads, length, width]`, pairs half the width apart."""
    length, half = x.shape[2], x.shape[3] // 2
    angles = torch.arange(length, dtype=torch.float64)[:, None] * base ** (-torch.arange(half, dtype=torch.float64) / half)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, rotary):
        super().__init__()
        self.attentionNorm, self.attention = nn.LayerNorm(WIDTH), Attention(rotary)
        self.mlpNorm, self.mlp = nn.LayerNorm(WIDTH), MLP()

    def forward(self, x):
        x = x + self.attention(self.attentionNorm(x))
        return x + self.mlp(self.mlpNorm(x))


class Heads(nn.Module):
    """Back to the width of each feature's table, whose values are the classes."""

    def __init__(self, widths):
        super().__init__()
        many = len(widths) > 1
        self.projections = nn.ModuleDict({name: nn.Linear(WIDTH, width) for name, width in widths.items() if many})

    def project(self, x, name):
        return self.projections[name](x) if name in self.projections else x


class Encoder(nn.Module):
    """The autoregressive encoder; its parameters have our names."""

    def __init__(self, widths, length, rotary=False, weights=None, smoothing=0.0):
        super().__init__()
        self.events = Tables(widths)
        self.positions = None if rotary else nn.Embedding(length, WIDTH)
        self.blocks = nn.ModuleList(Block(rotary) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.heads = Heads(widths)
        self.weights, self.smoothing = weights or {}, smoothing

    def embed(self, batch):
        x = self.events(batch)
        if self.positions:
            x = x + self.positions.weight[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def query(self, batch):
        embeddings = self.embed(batch)
        last = embeddings[torch.arange(len(LENGTHS)), batch["lengths"] - 1]
        return self.heads.project(last, "item")

    def loss(self, batch):
        """The mean over real positions of the weighted sum over features; and the features' means."""
        embeddings, parts = self.embed(batch), {}
        for name, table in self.events.tables.items():
            size = {"item": ITEMS, "genre": GENRES, "rating": RATINGS}[name]
            logits = F.linear(self.heads.project(embeddings, name), table.weight[:size])
            targets = batch[f"{name}.targets"].reshape(*logits.shape[:2], -1)
            total = 0
            for row, wanted in zip(logits.flatten(0, 1), targets.flatten(0, 1), strict=True):
                wanted = wanted[wanted != -100]
                if len(wanted) > 0:
                    smoothing = self.smoothing if name == "item" else 0.0
                    total = total + F.cross_entropy(row.expand(len(wanted), -1), wanted, label_smoothing=smoothing)
            parts[name] = total / sum(LENGTHS)
        return sum(self.weights.get(name, 1.0) * part for name, part in parts.items()), parts


def invented_batch():
    """Three windows of different lengths, ratings missing here and there, bags of none to three genres."""
    def event():
        genres = torch.randperm(GENRES)[: torch.randint(0, LONGEST + 1, ())].tolist()
        rating = int(torch.randint(0, RATINGS + 1, ()))  # RATINGS: missing
        return int(torch.randint(0, ITEMS, ())), genres, rating

    length = max(LENGTHS)
    batch = {name: [] for name in ("item", "rating", "genre.ids", "item.targets", "rating.targets", "genre.targets")}
    batch |= {"genre.offsets": [0], "lengths": list(LENGTHS)}
    for inputs in LENGTHS:
        events = [event() for _ in range(inputs + 1)]
        for i in range(length):
            real = i < inputs
            item, genres, rating = events[i] if real else (0, [], 0)
            next_item, next_genres, next_rating = events[i + 1] if real else (-100, [], RATINGS)
            batch["item"].append(item)
            batch["rating"].append(rating)
            batch["genre.ids"] += genres
            batch["genre.offsets"].append(len(batch["genre.ids"]))
            batch["item.targets"].append(next_item)
            batch["rating.targets"].append(-100 if next_rating == RATINGS else next_rating)
            batch["genre.targets"].append(next_genres + [-100] * (LONGEST - len(next_genres)))
    shaped = {name: torch.tensor(values) for name, values in batch.items()}
    for name in ("item", "rating", "item.targets", "rating.targets", "genre.targets"):
        shaped[name] = shaped[name].unflatten(0, (len(LENGTHS), length))
    return shaped


def run(encoder, batch, dtype):
    """What an encoder makes of a batch, and what three steps make of the encoder."""
    encoder = encoder.to(dtype)
    real = torch.arange(max(LENGTHS)) < batch["lengths"][:, None]
    seen = {"embeddings": encoder.embed(batch)[real], "query": encoder.query(batch)}
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2, weight_decay=0.1)
    losses, norms = [], []
    for step in range(3):
        optimizer.zero_grad()
        loss, parts = encoder.loss(batch)
        loss.backward()
        if step == 0:
            seen |= {f"part.{name}": part for name, part in parts.items()}
            seen |= {f"first.{name}": value.grad.clone() for name, value in encoder.named_parameters()}
        norms.append(nn.utils.clip_grad_norm_(encoder.parameters(), 0.5))
        optimizer.step()
        losses.append(loss)
    seen |= {"losses": torch.stack(losses), "norms": torch.stack(norms)}
    for name, value in encoder.named_parameters():
        # A bias on all keys of a query moves no probability: its gradient is what rounding leaves of zero, and Adam
        # makes steps of that.
        query_key_value = value.chunk(3)
        kept = torch.cat(query_key_value[::2]) if name.endswith("qkv.bias") else value
        seen[f"trained.{name}"] = kept
    return {name: value.detach().clone() for name, value in seen.items()}


ENCODERS = {
    "autoregressive": lambda: Encoder(
        {"item": 6, "genre": 3, "rating": 2}, max(LENGTHS), weights={"rating": 0.5}, smoothing=0.1
    ),
    "autoregressive-rotary": lambda: Encoder({"item": 8, "genre": 3, "rating": 4}, max(LENGTHS), rotary=True),
    "sasrec": lambda: Encoder({"item": WIDTH}, max(LENGTHS) + 2),
}


def main() -> None:
    folder = Path(__file__).parent.parent / "test/golden/models"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in ENCODERS.items():
        torch.manual_seed(SEED)
        batch = invented_batch()
        encoder = make()
        weights = {path: value.detach().clone() for path, value in encoder.state_dict().items()}
        single = run(encoder, batch, torch.float32)
        encoder.load_state_dict(weights)
        double = run(encoder, batch, torch.float64)
        tensors = {f"in.{key}": value.int() for key, value in batch.items()}
        tensors |= {f"parameter.{path}": value for path, value in weights.items()} | double
        tensors |= {f"error.{key}": (single[key].double() - value).abs().max() for key, value in double.items()}
        save_file(
            {key: tensor.contiguous() for key, tensor in tensors.items()},
            folder / f"{name}.safetensors",
            metadata={"torch": torch.__version__, "seed": str(SEED)},
        )


if __name__ == "__main__":
    main()
