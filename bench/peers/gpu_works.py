"""The work of each bar of the GPU kernels, for gpu_baselines.py: shapes, inputs, and how one writes it in PyTorch."""

import itertools
from dataclasses import dataclass, field
from typing import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from models import CrossAttention, EncoderLayer, Perceiver, RMSNorm, UserEncoder, UserLanguageModel, lora_linear, training_step

SETS = 3
"""Sets of inputs that are used in turns, together larger than the caches."""


@dataclass
class Work:
    name: str
    build: Callable[..., Callable[[], object]]
    """`build(wrap, **options)` makes inputs and gives a function that runs once; `wrap` may compile what is timed."""
    ways: dict[str, dict] = field(default_factory=lambda: {"": {}})
    """Names of options for `build`: other formulations, other micro-batches."""
    attends: bool = False
    """Whether it is worth trying each backend of attention."""
    flops: float = 0
    bytes: float = 0
    compiles: bool = True


# What is timed.


def forward(function, sets, autocast=None):
    turns = itertools.cycle([[x.detach() for x in given] for given in sets])

    @torch.no_grad()
    def run():
        with autocast_to(autocast):
            return function(*next(turns))

    return run


def with_backward(function, sets, parameters=(), autocast=None):
    turns = itertools.cycle(sets)
    cotangents = {}

    def run():
        given = next(turns)
        with autocast_to(autocast):
            result = function(*given)
        if result.shape not in cotangents:
            cotangents[result.shape] = torch.rand_like(result)
        leaves = [x for x in given if x.requires_grad]
        return torch.autograd.grad(result, [*leaves, *parameters], cotangents[result.shape])

    return run


def backward(function, sets):
    """Backward alone, again and again through graphs that are kept."""
    graphs = [(function(*given), given) for given in sets]
    turns = itertools.cycle((result, [x for x in given if x.requires_grad], torch.rand_like(result)) for result, given in graphs)

    def run():
        result, leaves, cotangent = next(turns)
        return torch.autograd.grad(result, leaves, cotangent, retain_graph=True)

    return run


def autocast_to(device):
    return torch.autocast(device or "cpu", torch.bfloat16, enabled=device is not None)


def leaf(*shape, device, dtype=torch.bfloat16, scale=1.0):
    return (scale * torch.randn(shape, device=device, dtype=dtype)).requires_grad_()


def ids(limit, *shape, device):
    return torch.randint(0, limit, shape, device=device)


# A: attention of short histories. L: of text prompts.


def attention(device, name, *, batch, length, heads, width, passes):
    def build(wrap, flex=False):
        shape = (batch, heads, length, width)
        sets = [[leaf(*shape, device=device) for _ in range(3)] for _ in range(SETS)]
        return passes(wrap(flex_attention(device, length) if flex else causal_attention), sets)

    product = batch * heads * length * (length + 1) * width
    tensor = 2 * batch * heads * length * width
    flops, tensors = {forward: (2, 4), backward: (5, 8), with_backward: (7, 12)}[passes]
    ways = {"": {}, "flex": {"flex": True}}
    return Work(name, build, ways, attends=True, flops=flops * product, bytes=tensors * tensor)


def causal_attention(query, key, value):
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def flex_attention(device, length):
    """Only fast when compiled."""
    from torch.nn.attention import flex_attention as flex

    mask = flex.create_block_mask(lambda b, h, i, j: i >= j, None, None, length, length, device=device)
    return lambda query, key, value: flex.flex_attention(query, key, value, block_mask=mask)


# B: the loss over a catalogue.


def linear_cross_entropy(device, name, *, tokens, items, width=128, chunks=(8, 64), whole=True):
    def loss(x, weight, targets):
        return F.cross_entropy(F.linear(x, weight), targets, reduction="sum")

    def build(wrap, chunks=1, own=False):
        function = wrap(loss)

        def chunked(x, weight, targets):
            parts = zip(x.chunk(chunks), targets.chunk(chunks))
            return sum(checkpoint(function, part, weight, t, use_reentrant=False) for part, t in parts) / tokens

        def pytorchs_own(x, weight, targets):
            return F.linear_cross_entropy(x, weight, targets, options=torch.nn.LinearCrossEntropyOptions())

        sets = [
            [
                leaf(tokens, width, device=device, dtype=torch.float32),
                leaf(items, width, device=device, dtype=torch.float32, scale=width**-0.5),
                ids(items, tokens, device=device),
            ]
            for _ in range(SETS)
        ]
        chosen = wrap(pytorchs_own) if own else chunked if chunks > 1 else function
        return with_backward(chosen, sets, autocast=device)

    ways = {"": {}} if whole else {}
    ways |= {f"{n} chunks": {"chunks": n} for n in chunks}
    if hasattr(F, "linear_cross_entropy"):
        ways["torch's chunked"] = {"own": True}
    return Work(name, build, ways=ways, flops=8 * tokens * items * width)


# C: layers of the encoder. D: its training. N: the same again, bit by bit.


def encoder_layers(device, name, *, users, length, layers=6, width=128, heads=8):
    def build(wrap):
        model = nn.Sequential(*(EncoderLayer(width, heads, 4 * width) for _ in range(layers))).to(device)
        sets = [[leaf(users, length, width, device=device, dtype=torch.float32)] for _ in range(SETS)]
        return with_backward(wrap(model), sets, list(model.parameters()), autocast=device)

    return Work(name, build, attends=True, bytes=20_800 * users * length * layers)


def pretraining(device, name, *, users, length, items, parts=(1,), deterministic=False, layers=6):
    def build(wrap, parts=1):
        torch.use_deterministic_algorithms(deterministic)
        model = UserEncoder(items, length, layers=layers).to(device)
        batches = [
            [[ids(items, users // parts, length, device=device) for _ in range(2)] for _ in range(parts)]
            for _ in range(SETS)
        ]
        return training_step(model, model.loss, batches, autocast=True, wrap=wrap)

    return Work(name, build, ways=micro_batches(parts), attends=not deterministic, compiles=not deterministic)


def micro_batches(parts):
    return {f"{n} micro-batches" if n > 1 else "": {"parts": n} for n in parts}


# E: cross-attention of text to a user. F: latents.


def cross_attention(device, name, *, users, queries, length, width=576, heads=9, user_width=128):
    def build(wrap):
        model = CrossAttention(width, heads, user_width).to(device)
        sets = [
            [leaf(users, queries, width, device=device), leaf(users, length, user_width, device=device)]
            for _ in range(SETS)
        ]
        return with_backward(wrap(model), sets, list(model.parameters()), autocast=device)

    return Work(name, build, attends=True)


def perceiver(device, name, *, users, length, passes, width=128):
    def build(wrap):
        model = Perceiver(width=width).to(device)
        sets = [[leaf(users, length, width, device=device)] for _ in range(SETS)]
        if passes is forward:
            return forward(wrap(model.bfloat16()), sets)
        return with_backward(wrap(model), sets, list(model.parameters()), autocast=device)

    return Work(name, build, attends=True)


# G: adapters.


class NormedProjection(nn.Module):
    """Norm, then queries, keys and values; with a rank, each with an adapter."""

    def __init__(self, width, rank):
        super().__init__()
        self.norm = RMSNorm(width).requires_grad_(False)
        self.weights = nn.ParameterList(0.02 * torch.randn(width, width) for _ in range(3)).requires_grad_(False)
        self.downs = nn.ParameterList(torch.randn(rank, width) / width**0.5 for _ in range(3 if rank else 0))
        self.ups = nn.ParameterList(0.02 * torch.randn(width, rank) for _ in range(3 if rank else 0))

    def forward(self, x):
        x = self.norm(x)
        if not self.downs:
            return torch.cat([F.linear(x, weight) for weight in self.weights], -1)
        return torch.cat([lora_linear(x, *layer, 2.0) for layer in zip(self.weights, self.downs, self.ups)], -1)


class FrozenProjection(nn.Module):
    """The same without adapters, as one product."""

    def __init__(self, width):
        super().__init__()
        self.norm = RMSNorm(width).requires_grad_(False)
        self.weight = nn.Parameter(0.02 * torch.randn(3 * width, width), requires_grad=False)

    def forward(self, x):
        return F.linear(self.norm(x), self.weight)


def adapters(device, name, *, tokens, passes, frozen, width=576, rank=8):
    def build(wrap):
        model = (FrozenProjection(width) if frozen else NormedProjection(width, rank)).to(device, torch.bfloat16)
        sets = [[leaf(tokens, width, device=device)] for _ in range(SETS)]
        if passes is forward:
            return forward(wrap(model), sets)
        return with_backward(wrap(model), sets, [x for x in model.parameters() if x.requires_grad])

    return Work(name, build)


# H: the optimizer. I: gradients of embeddings.


def adamw(device, name, *, parameters):
    def build(wrap):
        masters = [leaf(parameters // 16, device=device, dtype=torch.float32) for _ in range(16)]
        shadows = [x.detach().bfloat16() for x in masters]
        for master in masters:
            master.grad = torch.randn_like(master)
        optimizer = torch.optim.AdamW(masters, lr=1e-4, weight_decay=0.01, fused=True)

        def step():
            optimizer.step()
            with torch.no_grad():
                torch._foreach_copy_(shadows, masters)

        return step

    return Work(name, build, bytes=30 * parameters, compiles=False)


def embedding_gradient(device, name, *, tokens, items, width=128):
    def build(wrap, added=False):
        popularity = 1.0 / torch.arange(1, items + 1, device=device, dtype=torch.float64) ** 0.9
        edges = (popularity.cumsum(0) / popularity.sum()).contiguous()
        sets = [
            [
                torch.searchsorted(edges, torch.rand(tokens, device=device, dtype=torch.float64)).clamp_(max=items - 1),
                torch.randn(tokens, width, device=device, dtype=torch.bfloat16),
            ]
            for _ in range(SETS)
        ]

        def by_embedding(index, grad):
            return torch.ops.aten.embedding_dense_backward(grad, index, items, -1, False)

        def by_adding(index, grad):
            return torch.zeros(items, width, device=grad.device, dtype=grad.dtype).index_add_(0, index, grad)

        return forward(wrap(by_adding if added else by_embedding), sets)

    ways = {"embedding": {}, "index_add": {"added": True}}
    return Work(name, build, ways=ways, bytes=2 * tokens * width + 4 * items * width)


# J, K: the language model.


def language_training(device, name, *, model, users, tokens, items, rank, parts, length=50, answer=16, layers=6):
    def build(wrap, parts=1):
        whole = UserLanguageModel(model, UserEncoder(items, length, layers=layers), rank).to(device)
        for parameter in whole.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()  # what is frozen need not be cast at every step
        n = users // parts
        batches = [
            [
                [
                    ids(items, n, length, device=device),
                    ids(whole.vocabulary, n, tokens, device=device),
                    ids(whole.vocabulary, n, answer, device=device),
                ]
                for _ in range(parts)
            ]
            for _ in range(SETS)
        ]
        return training_step(whole, whole.loss, batches, autocast=True, wrap=wrap)

    return Work(name, build, ways=micro_batches(parts))


def first_token(device, name, *, model, tokens, items, length=50, layers=6):
    def build(wrap):
        whole = UserLanguageModel(model, UserEncoder(items, length, layers=layers)).to(device, torch.bfloat16)
        sets = [
            [ids(items, 1, length, device=device), ids(whole.vocabulary, 1, tokens, device=device)]
            for _ in range(SETS)
        ]
        return forward(wrap(whole.first_token), sets)

    return Work(name, build)


# M: norms.


def norm(device, name, *, tokens, width, kind, passes):
    def build(wrap):
        model = kind(width).to(device, torch.bfloat16)
        sets = [[leaf(tokens, width, device=device)] for _ in range(SETS)]
        return passes(wrap(model), sets)

    tensors = {forward: 2, backward: 3}[passes]
    return Work(name, build, bytes=tensors * 2 * tokens * width)


# The table: row of the plan, how to make it, sizes, and what is smaller when everything is only tried.

ROWS = [
    ("A1", attention, dict(batch=12_800, length=50, heads=8, width=16, passes=forward), dict(batch=2)),
    ("A1", attention, dict(batch=32_768, length=50, heads=8, width=16, passes=forward), dict(batch=3)),
    ("A2", attention, dict(batch=12_800, length=50, heads=8, width=16, passes=backward), dict(batch=2)),
    ("A2", attention, dict(batch=32_768, length=50, heads=8, width=16, passes=backward), dict(batch=3)),
    ("A3", attention, dict(batch=8_192, length=200, heads=8, width=16, passes=with_backward), dict(batch=1)),
    ("B1", linear_cross_entropy, dict(tokens=51_200, items=26_744), dict(tokens=64, items=97)),
    ("C1", encoder_layers, dict(users=12_800, length=50), dict(users=2, layers=2)),
    ("D1", pretraining, dict(users=1_024, length=50, items=26_744), dict(users=2, items=97, layers=1)),
    ("E", cross_attention, dict(users=2_048, queries=32, length=50), dict(users=2)),
    ("F", perceiver, dict(users=2_048, length=50, passes=with_backward), dict(users=2)),
    ("F", perceiver, dict(users=1, length=50, passes=forward), dict()),
    ("F", perceiver, dict(users=64, length=50, passes=forward), dict(users=2)),
    ("G", adapters, dict(tokens=65_536, passes=forward, frozen=False), dict(tokens=8)),
    ("G", adapters, dict(tokens=65_536, passes=forward, frozen=True), dict(tokens=8)),
    ("G", adapters, dict(tokens=65_536, passes=with_backward, frozen=False), dict(tokens=8)),
    ("G", adapters, dict(tokens=65_536, passes=with_backward, frozen=True), dict(tokens=8)),
    ("H", adamw, dict(parameters=1 << 27), dict(parameters=1 << 8)),
    ("I", embedding_gradient, dict(tokens=1_638_400, items=26_744), dict(tokens=64, items=97)),
    ("K", first_token, dict(model="135M", tokens=32, items=26_744), dict(model="tiny", items=97, layers=1)),
    ("L", attention, dict(batch=94, length=700, heads=9, width=64, passes=forward), dict(batch=1, length=70)),
    ("L", attention, dict(batch=48, length=1_350, heads=9, width=64, passes=forward), dict(batch=1, length=135)),
    ("L", attention, dict(batch=26, length=2_500, heads=9, width=64, passes=forward), dict(batch=1, length=250)),
    ("L", attention, dict(batch=26, length=2_500, heads=9, width=64, passes=with_backward), dict(batch=1, length=250)),
    ("M", norm, dict(tokens=640_000, width=128, kind=nn.LayerNorm, passes=forward), dict(tokens=8)),
    ("M", norm, dict(tokens=640_000, width=128, kind=nn.LayerNorm, passes=backward), dict(tokens=8)),
    ("M", norm, dict(tokens=65_536, width=576, kind=RMSNorm, passes=forward), dict(tokens=8)),
    ("M", norm, dict(tokens=65_536, width=576, kind=RMSNorm, passes=backward), dict(tokens=8)),
    (
        "J2",
        language_training,
        dict(model="135M", users=32, tokens=32, items=26_744, rank=0, parts=(1,)),
        dict(model="tiny", users=2, items=97, layers=1),
    ),
    (
        "J1",
        language_training,
        dict(model="135M", users=2_048, tokens=32, items=26_744, rank=0, parts=(1, 2, 4)),
        dict(model="tiny", users=4, items=97, layers=1),
    ),
    (
        "J1",
        language_training,
        dict(model="135M", users=2_048, tokens=32, items=26_744, rank=8, parts=(1, 2, 4)),
        dict(model="tiny", users=4, items=97, layers=1),
    ),
    (
        "J3",
        language_training,
        dict(model="1B", users=1_024, tokens=32, items=26_744, rank=0, parts=(1, 2, 4, 8)),
        dict(model="tiny", users=8, items=97, layers=1),
    ),
    ("B2", linear_cross_entropy, dict(tokens=640_000, items=26_744, chunks=(16, 64)), dict(tokens=64, items=97)),
    (
        "B2",
        linear_cross_entropy,
        dict(tokens=1_638_400, items=26_744, chunks=(64,), whole=False),
        dict(tokens=128, items=97),
    ),
    ("B3", linear_cross_entropy, dict(tokens=2_048, items=1_000_000), dict(tokens=64, items=97)),
    (
        "B3",
        linear_cross_entropy,
        dict(tokens=51_200, items=1_000_000, chunks=(64,), whole=False),
        dict(tokens=128, items=97),
    ),
    (
        "D2",
        pretraining,
        dict(users=32_768, length=50, items=26_744, parts=(16, 32)),
        dict(users=32, items=97, layers=1),
    ),
    (
        "N",
        pretraining,
        dict(users=1_024, length=50, items=26_744, deterministic=True),
        dict(users=2, items=97, layers=1),
    ),
]


def works(device, tiny):
    """Row and work of everything in the table."""
    for row, make, sizes, small in ROWS:
        chosen = {**sizes, **small} if tiny else sizes
        shown = ", ".join(
            f"{name} {getattr(value, '__name__', value)}" for name, value in chosen.items() if name not in ("parts", "chunks", "whole")
        )
        yield row, make(device, f"{make.__name__.replace('_', ' ')}: {shown}", **chosen)
