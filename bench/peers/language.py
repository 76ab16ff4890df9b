"""A language model of Llama's shape in plain PyTorch with random weights: what `bench -- llm` compares with."""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from models import Linear, RMSNorm, join_heads, rotated, split_heads, training_step

# The same in bench/llm-work.ts.
SIZES = {
    "15M": dict(layers=6, width=288, heads=6, kv_heads=6, hidden=768, vocabulary=32_000),
    "135M": dict(layers=30, width=576, heads=9, kv_heads=3, hidden=1_536, vocabulary=49_152),
}
POSITIONS = 4_096


class Layer(nn.Module):
    def __init__(self, width, heads, kv_heads, hidden, rank):
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        kv_width = width // heads * kv_heads
        self.attention_norm, self.mlp_norm = RMSNorm(width, eps=1e-5), RMSNorm(width, eps=1e-5)
        self.query, self.output = Linear(width, width, rank), Linear(width, width, rank)
        self.key, self.value = Linear(width, kv_width, rank), Linear(width, kv_width, rank)
        self.gate, self.up = Linear(width, hidden, rank), Linear(width, hidden, rank)
        self.down = Linear(hidden, width, rank)

    def forward(self, x, cos, sin, cache=None, start=0):
        normed = self.attention_norm(x)
        query = rotated(split_heads(self.query(normed), self.heads), cos, sin)
        key = rotated(split_heads(self.key(normed), self.kv_heads), cos, sin)
        value = split_heads(self.value(normed), self.kv_heads)
        if cache is not None:
            keys, values = cache
            end = start + x.shape[1]
            keys[:, :, start:end], values[:, :, start:end] = key, value
            key, value = keys[:, :, :end], values[:, :, :end]
        causal, shared = x.shape[1] > 1, self.heads != self.kv_heads
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=causal, enable_gqa=shared)
        x = x + self.output(join_heads(attended))
        normed = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class LanguageModel(nn.Module):
    """Tied; layers see all earlier tokens. With a rank, all but the adapters is frozen."""

    def __init__(self, size, rank=0):
        super().__init__()
        size = dict(SIZES[size])
        layers, vocabulary, width = size.pop("layers"), size.pop("vocabulary"), size["width"]
        self.kv_heads, self.head_width = size["kv_heads"], width // size["heads"]
        self.tokens = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(**size, rank=rank) for _ in range(layers))
        self.norm = RMSNorm(width, eps=1e-5)
        frequencies = 10_000.0 ** (-torch.arange(0, self.head_width, 2, dtype=torch.float32) / self.head_width)
        angles = torch.outer(torch.arange(POSITIONS), frequencies).repeat(1, 2)
        self.cos, self.sin = angles.cos(), angles.sin()
        for path, parameter in self.named_parameters():
            parameter.requires_grad_(path.rpartition(".")[2] in ("down", "up") and rank > 0)

    def compile_layers(self):
        """Layers share what is compiled of one: a model of 30 is compiled as fast as one of 1."""
        for layer in self.layers:
            layer.compile(dynamic=True)
        return self

    def new_caches(self, batch, length):
        shape = batch, self.kv_heads, length, self.head_width
        return [(self.tokens.weight.new_empty(shape), self.tokens.weight.new_empty(shape)) for _ in self.layers]

    def forward(self, tokens, caches=None, start=0):
        end = start + tokens.shape[1]
        x, cos, sin = self.tokens(tokens), self.cos[start:end], self.sin[start:end]
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, None if caches is None else caches[i], start)
        return self.norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.tokens.weight)

    def loss(self, tokens, targets):
        return F.cross_entropy(self.logits(self(tokens)).flatten(0, 1), targets.flatten())


@functools.lru_cache(maxsize=2)
def language_model(size, dtype, compiled=False, rank=0):
    """One that the works of a size share; its weights are made in `dtype`, so that there is never another copy."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = LanguageModel(size, rank)
    finally:
        torch.set_default_dtype(before)
    return model.compile_layers() if compiled else model


def prefill(size, dtype, compiled, tokens):
    """A function that reads a prompt into a new cache, and gives the logits after its last token."""
    model = language_model(size, dtype, compiled)
    batch, length = tokens.shape

    @torch.inference_mode()
    def step():
        return model.logits(model(tokens, model.new_caches(batch, length))[:, -1])

    return step


def decode(size, dtype, compiled, tokens, count):
    """A function that appends `count` of the likeliest tokens to prompts, each time anew; it gives the last logits."""
    model = language_model(size, dtype, compiled)
    batch, length = tokens.shape
    with torch.inference_mode():
        caches = model.new_caches(batch, length + count)
        first = model.logits(model(tokens, caches)[:, -1:]).argmax(-1)

    @torch.inference_mode()
    def step():
        token = first
        for at in range(length, length + count):
            logits = model.logits(model(token, caches, at))
            token = logits.argmax(-1)
        return logits

    return step


def adapter_step(size, dtype, compiled, tokens, targets, autocast=False):
    """A function that makes a training step of adapters beside all linear layers."""
    model = language_model(size, dtype, False, rank=8)
    return training_step(
        model,
        model.loss,
        [[(tokens, targets)]],
        autocast=autocast,
        wrap=functools.partial(torch.compile, dynamic=False) if compiled else lambda function: function,
    )
