"""Golden numbers of BERT4Rec: the encoder in plain PyTorch, dense and padded on the left, from the same weights.

    python scripts/goldens-bert4rec.py

Writes test/golden/models/bert4rec.safetensors for the histories and hidden events below, which the test repeats:
parameters by our names (parameter.*), the loss and its gradients (grad.*), the hidden states of the histories (embed), the
queries after them (query), and the losses of three AdamW steps with the parameters after them (trained.*).
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

SEED = 7
ITEMS, RATINGS, GENRES = 13, 5, 4
LENGTH, WIDTH, HEADS = 6, 8, 2
# item, rating (-1: missing), genres; the last event of a history is the target of its window
HISTORIES = [
    [(3, 0, [1]), (7, -1, [0, 2]), (1, 4, []), (12, 2, [3]), (0, 1, [1, 2, 3]), (5, 3, [0])],
    [(9, 2, [2]), (4, 0, []), (11, -1, [0, 1])],
]
# (history, event): what stands in its place; "same" is the event itself, a number an item without features
HIDDEN = {(0, 1): "mask", (0, 3): 6, (0, 4): "same", (0, 5): "mask", (1, 0): "mask", (1, 2): "mask"}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attentionNorm = nn.LayerNorm(WIDTH)
        self.attention = nn.ModuleDict({"qkv": nn.Linear(WIDTH, 3 * WIDTH), "output": nn.Linear(WIDTH, WIDTH)})
        self.mlpNorm = nn.LayerNorm(WIDTH)
        self.mlp = nn.ModuleDict({"up": nn.Linear(WIDTH, 4 * WIDTH), "down": nn.Linear(4 * WIDTH, WIDTH)})

    def forward(self, x, real):
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in self.attention["qkv"](self.attentionNorm(x)).chunk(3, -1)
        )
        scores = (q @ k.transpose(-1, -2) / (WIDTH / HEADS) ** 0.5).masked_fill(~real[:, None, None], -1e9)
        x = x + self.attention["output"]((scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))
        return x + self.mlp["down"](F.gelu(self.mlp["up"](self.mlpNorm(x)), approximate="tanh"))


class Bert4Rec(nn.Module):
    def __init__(self):
        super().__init__()
        tables = {"item": nn.Embedding(ITEMS, WIDTH), "rating": nn.Embedding(RATINGS + 1, 3), "genres": nn.Embedding(GENRES, 3)}
        self.events = nn.ModuleDict({"tables": nn.ModuleDict(tables), "projection": nn.Linear(WIDTH + 6, WIDTH)})
        self.mask = nn.Embedding(1, WIDTH)
        self.positions = nn.Embedding(LENGTH + 1, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WIDTH)
        self.headNorm = nn.LayerNorm(WIDTH)
        self.outputBias = nn.Parameter(torch.randn(ITEMS))

    def event(self, item, rating, genres):
        tables = self.events["tables"]
        bag = tables["genres"].weight[genres].mean(0) if genres else torch.zeros(3)
        parts = [tables["item"].weight[item], tables["rating"].weight[rating if rating >= 0 else RATINGS], bag]
        return self.events["projection"](torch.cat(parts))

    def encode(self, sequences, last_place):
        """Lists of event vectors, of which the last has the place `last_place` -> [batch, longest, WIDTH], left-padded."""
        longest = max(map(len, sequences))
        x = torch.stack([torch.stack([torch.zeros(WIDTH)] * (longest - len(s)) + s) for s in sequences])
        places = torch.arange(longest - 1, -1, -1) + last_place
        real = torch.tensor([[i >= longest - len(s) for i in range(longest)] for s in sequences])
        x = x + self.positions(places)
        for block in self.blocks:
            x = block(x, real)
        return self.norm(x)

    def guess(self, x):
        return self.headNorm(F.gelu(self.head(x), approximate="tanh"))

    def shown(self, h, at, event):
        stand = HIDDEN.get((h, at), "same")
        if stand == "mask":
            return self.mask.weight[0]
        return self.event(*event) if stand == "same" else self.event(stand, -1, [])

    def loss(self):
        sequences = [[self.shown(h, at, event) for at, event in enumerate(history)] for h, history in enumerate(HISTORIES)]
        x = self.encode(sequences, 0)
        rows = torch.stack([x[h, at - len(HISTORIES[h])] for h, at in HIDDEN])
        targets = torch.tensor([HISTORIES[h][at][0] for h, at in HIDDEN])
        return F.cross_entropy(self.guess(rows) @ self.events["tables"]["item"].weight.T + self.outputBias, targets)

    def embed(self):
        known = [[self.event(*event) for event in history[:-1]] for history in HISTORIES]
        x = self.encode(known, 1)
        return torch.cat([x[h, -len(sequence) :] for h, sequence in enumerate(known)])

    def query(self):
        asked = [[self.event(*event) for event in history[:-1]] + [self.mask.weight[0]] for history in HISTORIES]
        return self.guess(self.encode(asked, 0)[:, -1])


def main() -> None:
    torch.manual_seed(SEED)
    model = Bert4Rec()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_((1 if "orm.weight" in name else 0) + 0.3 * torch.randn_like(value))
    tensors = {f"parameter.{name}": value.detach().clone() for name, value in model.named_parameters()}
    tensors |= {"embed": model.embed().detach(), "query": model.query().detach()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    losses = []
    for step in range(3):
        optimizer.zero_grad()
        loss = model.loss()
        loss.backward()
        if step == 0:
            tensors |= {f"grad.{name}": value.grad.clone() for name, value in model.named_parameters()}
        optimizer.step()
        losses.append(loss.detach())
    tensors["losses"] = torch.stack(losses)
    tensors |= {f"trained.{name}": value.detach() for name, value in model.named_parameters()}
    path = Path(__file__).parent.parent / "test/golden/models/bert4rec.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in tensors.items()},
        path,
        metadata={"torch": torch.__version__, "seed": str(SEED)},
    )


if __name__ == "__main__":
    main()
