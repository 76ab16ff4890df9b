"""The models of USER-LLM (arXiv:2402.13598) in plain PyTorch with random weights, and training steps of them."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.RMSNorm):
    """In the dtype of what it gets: with a weight of another one PyTorch takes a slower path."""

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


# Stage 1: the user encoder, section 3.1 and appendix A.


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


class FeatureEncoder(UserEncoder):
    """
    Events of several features, embedded side by side and projected to the width; each feature of the next event is
    predicted by a projection back to the width of its embedding, whose table the softmax shares.
    """

    def __init__(self, values, widths, length, width=128, heads=8, layers=6):
        super().__init__(1, length, width, heads, layers)
        del self.items
        self.tables = nn.ModuleList(nn.Embedding(count, own) for count, own in zip(values, widths))
        self.entry = nn.Linear(sum(widths), width)
        self.exits = nn.ModuleList(nn.Linear(width, own) for own in widths)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, *ids):
        x = torch.cat([table(values) for table, values in zip(self.tables, ids)], -1)
        x = self.entry(x) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)

    def loss(self, *histories):
        """Histories by feature, each one event longer than what is read."""
        x = self.forward(*(ids[:, :-1] for ids in histories))
        return sum(
            F.cross_entropy(F.linear(exit(x), table.weight).flatten(0, 1), ids[:, 1:].flatten())
            for exit, table, ids in zip(self.exits, self.tables, histories)
        )


# Stage 2: a language model that attends to the user.


def lora_linear(x, weight, down, up, scale):
    """As PEFT does it: the adapter beside the frozen layer."""
    return F.linear(x, weight) + F.linear(F.linear(x, down), up) * scale


class Linear(nn.Module):
    """No bias; with a rank, an adapter beside it."""

    def __init__(self, inputs, outputs, rank=0):
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(outputs, inputs))
        if rank:
            self.down = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
            self.up = nn.Parameter(torch.zeros(outputs, rank))
        self.rank = rank

    def forward(self, x):
        return lora_linear(x, self.weight, self.down, self.up, 2.0) if self.rank else F.linear(x, self.weight)


def split_heads(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x):
    return x.transpose(1, 2).flatten(-2)


def rotated(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos.to(x.dtype) + torch.cat([-second, first], -1) * sin.to(x.dtype)


class CrossAttention(nn.Module):
    """Added through a tanh gate, as in Flamingo; keys and values come straight from the user's embeddings."""

    def __init__(self, width, heads, user_width):
        super().__init__()
        self.heads = heads
        self.norm = RMSNorm(width)
        self.query, self.output = Linear(width, width), Linear(width, width)
        self.key, self.value = Linear(user_width, width), Linear(user_width, width)
        self.gate = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, x, user):
        query, key, value = (
            split_heads(projection(y), self.heads)
            for projection, y in ((self.query, self.norm(x)), (self.key, user), (self.value, user))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return x + torch.tanh(self.gate) * self.output(join_heads(attended))


class LanguageLayer(nn.Module):
    """Llama's layer after a cross-attention."""

    def __init__(self, width, heads, kv_heads, hidden, user_width, rank):
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        kv_width = width // heads * kv_heads
        self.user = CrossAttention(width, heads, user_width)
        self.attention_norm, self.mlp_norm = RMSNorm(width), RMSNorm(width)
        self.query, self.output = Linear(width, width, rank), Linear(width, width, rank)
        self.key, self.value = Linear(width, kv_width, rank), Linear(width, kv_width, rank)
        self.gate, self.up, self.down = (
            Linear(width, hidden, rank),
            Linear(width, hidden, rank),
            Linear(hidden, width, rank),
        )

    def forward(self, x, user, cos, sin):
        x = self.user(x, user)
        normed = self.attention_norm(x)
        query = rotated(split_heads(self.query(normed), self.heads), cos, sin)
        key = rotated(split_heads(self.key(normed), self.kv_heads), cos, sin)
        value = split_heads(self.value(normed), self.kv_heads)
        repeats = self.heads // self.kv_heads
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        x = x + self.output(join_heads(F.scaled_dot_product_attention(query, key, value, is_causal=True)))
        normed = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


LANGUAGE_MODELS = {
    "135M": dict(layers=30, width=576, heads=9, kv_heads=3, hidden=1_536, vocabulary=49_152),
    "1B": dict(layers=16, width=2_048, heads=32, kv_heads=8, hidden=8_192, vocabulary=128_256),
    "tiny": dict(layers=2, width=32, heads=4, kv_heads=2, hidden=64, vocabulary=97),
}


class UserLanguageModel(nn.Module):
    """A frozen language model with trained cross-attentions to a trained encoder ("Enc"); `rank` adds adapters."""

    def __init__(self, name, encoder, rank=0, user_width=128):
        super().__init__()
        size = dict(LANGUAGE_MODELS[name])
        layers, vocabulary, width = size.pop("layers"), size.pop("vocabulary"), size["width"]
        self.head_width = width // size["heads"]
        self.encoder = encoder
        self.vocabulary = vocabulary
        self.tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(LanguageLayer(**size, user_width=user_width, rank=rank) for _ in range(layers))
        self.norm = RMSNorm(width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        for path, parameter in self.named_parameters():
            adapter = path.rpartition(".")[2] in ("down", "up")
            parameter.requires_grad_(path.startswith("encoder.") or ".user." in path or adapter)

    def hidden(self, events, tokens):
        user = self.encoder(events)
        x = self.tokens(tokens)
        frequencies = 10_000.0 ** (-torch.arange(0, self.head_width, 2, device=x.device) / self.head_width)
        angles = torch.outer(torch.arange(tokens.shape[1], device=x.device), frequencies).repeat(1, 2)
        cos, sin = angles.cos(), angles.sin()
        for layer in self.layers:
            x = layer(x, user, cos, sin)
        return self.norm(x)

    def loss(self, events, tokens, targets):
        """Over the last positions: the answer's, as many as there are targets."""
        answers = self.hidden(events, tokens)[:, -targets.shape[1] :]
        return F.cross_entropy(F.linear(answers, self.tokens.weight).flatten(0, 1), targets.flatten())

    def first_token(self, events, tokens):
        return F.linear(self.hidden(events, tokens)[:, -1], self.tokens.weight).argmax(-1)


class Perceiver(nn.Module):
    """Learned latents that attend to the user's events, layer after layer."""

    def __init__(self, latents=16, layers=6, width=128, heads=8):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, width))
        self.attentions = nn.ModuleList(CrossAttention(width, heads, width) for _ in range(layers))
        self.mlps = nn.ModuleList(
            nn.Sequential(
                RMSNorm(width),
                nn.Linear(width, 4 * width),
                nn.GELU(approximate="tanh"),
                nn.Linear(4 * width, width),
            )
            for _ in range(layers)
        )

    def forward(self, user):
        x = self.latents.expand(user.shape[0], -1, -1)
        for attention, mlp in zip(self.attentions, self.mlps):
            x = attention(x, user)
            x = x + mlp(x)
        return x


# Training.


def training_step(model, loss, batches, *, autocast=False, wrap=lambda function: function):
    """
    A function that makes one step, each time over the next of `batches`, lists of micro-batches that are arguments of
    `loss`: gradients, clipping, fused AdamW. `wrap` may compile the loss. The function returns the last loss.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True)
    device = parameters[0].device.type
    loss = wrap(loss)
    turn = 0

    @torch.enable_grad()
    def step():
        nonlocal turn
        parts = batches[turn % len(batches)]
        turn += 1
        optimizer.zero_grad(set_to_none=True)
        for part in parts:
            with torch.autocast(device, torch.bfloat16, enabled=autocast):
                value = loss(*part)
            (value / len(parts)).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return value.detach()

    return step
