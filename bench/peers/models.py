"""The user encoder of the paper in plain PyTorch (arXiv:2402.13598, section 3.1 and appendix A), random weights."""

import torch
import torch.nn.functional as F
from torch import nn


class EncoderLayer(nn.Module):
    """Pre-norm causal transformer block."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x):
        packed = self.projection(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(attended.transpose(1, 2).flatten(-2))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class UserEncoder(nn.Module):
    """Items and positions through causal layers; the softmax over items shares its weights with the embedding."""

    def __init__(self, items, length, width=128, heads=8, layers=6):
        super().__init__()
        self.items = nn.Embedding(items, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads, 4 * width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.items.weight, std=0.02)

    def forward(self, ids):
        x = self.items(ids) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)

    def loss(self, ids, targets):
        return F.cross_entropy(F.linear(self.forward(ids), self.items.weight).flatten(0, 1), targets.flatten())


def training_step(model, loss, *, autocast=False, compiled=False):
    """A function that makes one step on `loss()`: gradients, clipping, fused AdamW. It returns the loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    device = next(model.parameters()).device.type
    if compiled:
        loss = torch.compile(loss)

    @torch.enable_grad()
    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value.detach()

    return step
