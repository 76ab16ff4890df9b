"""Writes test/golden/<op>/<case>.safetensors: what PyTorch computes for cases of test/cases.

    python scripts/goldens.py [OP...]        needs torch and safetensors; no names: all

Each file holds `in.<name>`, `out.<position>`, and, where gradients are compared, `cotangent.<position>` (the upstream
gradient of an output) and `grad.<name>`. Numbers are drawn exact in float32 and computed in float64. The metadata
records the version of PyTorch and the seed. Names and shapes of inputs, and the options in the expression, are those
of the case; test/ops/all.test.ts refuses a golden that does not fit.
"""

import sys
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

SEED = 20240229
FOLDER = Path(__file__).resolve().parent.parent / "test" / "golden"


# Inputs.


def normal(*shape, scale=1.0):
    return lambda g: (scale * torch.randn(shape, generator=g)).double()


def uniform(*shape, low=0.0, high=1.0):
    return lambda g: (low + (high - low) * torch.rand(shape, generator=g)).double()


def steps(*shape, per_unit=3):
    """Normal numbers on a grid, so that there are ties."""
    return lambda g: torch.round(torch.randn(shape, generator=g) * per_unit).double() / per_unit


def integers(*shape, limit, low=0):
    return lambda g: torch.randint(low, limit, shape, generator=g, dtype=torch.int32)


def mask(*shape, probability=0.5):
    return lambda g: (torch.rand(shape, generator=g) < probability).to(torch.uint8)


def half(make):
    return lambda g: make(g).bfloat16()


def rounded(make):
    return lambda g: make(g).bfloat16().double()


def values(*numbers, dtype=torch.int32):
    return lambda g: torch.tensor(numbers, dtype=dtype)


# Functions that PyTorch has not, or not as one.


def gelu(x):
    return F.gelu(x, approximate="tanh")


def weighted_cross_entropy(logits, targets, weights, reduction, smoothing=0.0):
    losses = weights * F.cross_entropy(
        logits.flatten(0, -2), targets.flatten().long(), reduction="none", label_smoothing=smoothing
    ).view(targets.shape)
    total = (weights * (targets != -100)).sum()
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total}[reduction]


def linear_cross_entropy(x, weight, bias, targets, weights, target_weights, smoothing=0.0, cap=None):
    """Several targets of a row as one soft target; `target_weights` None: shared evenly."""
    logits = F.linear(x, weight, bias)
    if cap:
        logits = cap * torch.tanh(logits / cap)
    counting = (targets != -100).double()
    if target_weights is None:
        target_weights = 1 / counting.sum(-1, keepdim=True).clamp(min=1)
    shares = torch.zeros_like(logits).scatter_add(-1, targets.clamp(min=0).long(), counting * target_weights)
    even = shares.sum(-1, keepdim=True) / shares.shape[-1]
    shares = (1 - smoothing) * shares + smoothing * even
    losses = weights * F.cross_entropy(logits.flatten(0, -2), shares.flatten(0, -2), reduction="none").view(weights.shape)
    return losses.sum() / (weights * (counting.sum(-1) > 0)).sum()


def linear_cross_entropy_case(function, rows, width, classes, targets, wanted):
    """Inputs of the case; every row has every option, and the function takes those it wants."""
    targets = torch.tensor(targets)
    return (
        {
            "x": normal(*rows, width),
            "weight": normal(classes, width, scale=2 * width**-0.5),
            "bias": normal(classes),
            "targets": lambda g: targets.int(),
            "weights": uniform(*rows, low=0.5, high=2),
            "targetWeights": uniform(*targets.shape, low=0.1, high=1),
        },
        function,
        wanted,
    )


def top_k(x, k):
    found = torch.topk(x, k)
    return found.values, found.indices.int()


def scores_of(x, weight, bias, excluded, offsets):
    """The scores of a catalogue, -inf for what a row leaves out."""
    scores = x @ weight.T + bias
    for row, (begin, end) in enumerate(zip(offsets, offsets[1:])):
        scores[row, excluded[begin:end].long()] = -torch.inf
    return scores


def turns(positions, width):
    """Cosines and sines of rotary embedding."""
    angles = torch.arange(positions)[:, None] * 10_000.0 ** (-torch.arange(0, width, 2).double() / width)
    return lambda g: torch.stack([angles.cos(), angles.sin()], -1).float().double()


def cached(keys, values, lengths, key, counts, rotary, heads):
    """Keys and values behind those of a cache, the keys rotated: pairs (i, i + pairs)."""
    keys, values, kv_heads, pairs = keys.clone(), values.clone(), keys.shape[2], rotary.shape[1]
    for b, length in enumerate(lengths.tolist()):
        here = slice(length, length + key.shape[1])
        new = key[b, :, heads : heads + kv_heads]
        turn = torch.view_as_complex(rotary[here])[:, None]
        turned = torch.complex(new[..., :pairs], new[..., pairs : 2 * pairs]) * turn
        keys[b, here] = torch.cat([turned.real, turned.imag, new[..., 2 * pairs :]], -1)
        values[b, here] = key[b, :, heads + kv_heads :]
    return keys, values, lengths + counts


def greedy(logits):
    """The most probable class, and its log-probability."""
    ids = logits.argmax(-1)
    return ids.int(), torch.log_softmax(logits, -1).gather(-1, ids[..., None])[..., 0]


def support(logits, temperature=1.0, k=None, p=None, least=None):
    """1 where generation's filters leave a class: temperature, top-k, top-p, min-p, one after the other."""
    scores = logits / temperature
    if k is not None:
        scores = scores.masked_fill(scores < torch.topk(scores, k).values[..., -1:], -torch.inf)
    if p is not None:
        ascending, order = scores.sort(-1)
        rest = ascending.softmax(-1).cumsum(-1) <= 1 - p
        rest[..., -1] = False
        scores = scores.masked_fill(rest.scatter(-1, order, rest), -torch.inf)
    if least is not None:
        shares = scores.softmax(-1)
        scores = scores.masked_fill(shares < least * shares.max(-1, keepdim=True).values, -torch.inf)
    return (scores > -torch.inf).double()


def rank_of(scores, targets):
    chosen = scores.gather(1, targets.long()[:, None])
    return (scores >= chosen).sum(1).int()


# Attention.


def attention_inputs(batch, queries, keys, heads, kv_heads, width, rotary_width=2):
    """The inputs of an attention case without padding."""
    return {
        "query": normal(batch, queries, heads, width),
        "key": normal(batch, keys, kv_heads, width),
        "value": normal(batch, keys, kv_heads, width),
        "queryOffsets": values(*range(0, batch * queries + 1, queries)),
        "keyOffsets": values(*range(0, batch * keys + 1, keys)),
        "keyLengths": values(*[keys] * batch),
        "rows": integers(batch, 1, limit=1),
        "table": rotary_table(keys, rotary_width),
    }


def rotary_table(positions, width):
    def table(g):
        angles = 6 * torch.rand(positions, width // 2, generator=g) - 3
        return torch.stack([angles.double().cos(), angles.double().sin()], -1)

    return table


def turned(x, table, style, first=0):
    """Rotary embedding of [batch, tokens, heads, width], by complex numbers."""
    turns = torch.view_as_complex(table)[first : first + x.shape[1], None]
    pairs = x.unflatten(-1, (-1, 2)) if style == "interleaved" else x.unflatten(-1, (2, -1)).mT
    result = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turns)
    return result.flatten(-2) if style == "interleaved" else result.mT.flatten(-2)


def attention(query, key, value, mask=None, **options):
    grouped = query.shape[-2] != key.shape[-2]
    heads_first = [x.transpose(1, 2) for x in (query, key, value)]
    return F.scaled_dot_product_attention(
        *heads_first, attn_mask=mask, enable_gqa=grouped, **options
    ).transpose(1, 2)


def visible(queries, keys, window=None, causal=True):
    position = torch.arange(keys - queries, keys)[:, None]
    j = torch.arange(keys)
    seen = position >= j if causal else torch.ones(queries, keys, dtype=torch.bool)
    if window:
        seen = seen & (position - j < window) & (j - position < window)
    return seen


ATTENDED = ["query", "key", "value"]


def turned_attention(style, mask=None):
    def function(query, key, value, *rest):
        table = rest[-1]
        first = key.shape[1] - query.shape[1]
        return attention(turned(query, table, style, first), turned(key, table, style), value, mask)

    return function


# op -> case -> inputs, function[, names of the inputs that gradients are taken of; default: the floating ones].
GOLDENS = {
    "softmax": {
        "seven": ({"x": normal(2, 7, scale=3)}, lambda x: torch.softmax(x, -1)),
        "sixty-three": ({"x": normal(5, 63, scale=3)}, lambda x: torch.softmax(x, -1)),
    },
    "log_softmax": {
        "seven": ({"x": normal(2, 7, scale=3)}, lambda x: torch.log_softmax(x, -1)),
        "sixty-three": ({"x": normal(5, 63, scale=3)}, lambda x: torch.log_softmax(x, -1)),
    },
    "matmul": {
        "seven": ({"a": normal(7, 7), "b": normal(7, 7)}, torch.matmul),
        "batch, a transposed, b shared": (
            {"a": normal(2, 3, 7, 5), "b": normal(7, 9)},
            lambda a, b: a.mT @ b * 0.25,
        ),
    },
    "linear": {
        "seven": ({"x": normal(7, 7), "weight": normal(7, 7)}, F.linear),
        "sixty-three wide": ({"x": normal(2, 3, 5), "weight": normal(63, 5)}, F.linear),
    },
    "linear_bfloat16": {
        "seven": ({"x": half(normal(7, 7)), "weight": half(normal(7, 7))}, F.linear, []),
        "sixty-three wide": ({"x": half(normal(2, 3, 5)), "weight": half(normal(63, 5))}, F.linear, []),
    },
    "linear_in_bfloat16": {
        "seven": ({"x": rounded(normal(7, 7)), "weight": rounded(normal(7, 7))}, F.linear),
        "sixty-three wide": ({"x": rounded(normal(2, 3, 5)), "weight": rounded(normal(63, 5))}, F.linear),
    },
    "lora_linear": {
        "seven": (
            {"x": normal(7, 7), "weight": normal(7, 7), "a": normal(3, 7), "b": normal(7, 3)},
            lambda x, weight, a, b: F.linear(x, weight + 2 * b @ a),
            ["x", "a", "b"],
        ),
    },
    "lora_linear_everything": {
        "seven": (
            {
                "x": normal(7, 7),
                "weight": normal(7, 7),
                "a": normal(3, 7),
                "b": normal(7, 3),
                "bias": normal(7),
                "residual": normal(7, 7),
                "adapterInput": normal(7, 7),
            },
            lambda x, weight, a, b, bias, residual, adapter_input: (
                F.linear(x, weight, bias) - 0.5 * F.linear(F.linear(adapter_input, a), b) + residual
            ),
        ),
    },
    "lora_linear_packed": {
        "sixty-three wide": (
            {
                "x": normal(2, 3, 5),
                "weight": normal(63, 5),
                "a": normal(8, 5),
                "b": normal(31, 8),
                "a1": normal(2, 5),
                "b1": normal(15, 2),
                "a2": normal(1, 5),
                "b2": normal(63, 1),
            },
            lambda x, weight, a, b, a1, b1, a2, b2: F.linear(
                x, weight + 0.5 * b2 @ a2 + torch.cat([2 * b @ a, b1 @ a1, torch.zeros(17, 5)])
            ),
            ["x", "a", "b", "a1", "b1", "a2", "b2"],
        ),
    },
    "linear_bias_residual": {
        "seven": (
            {"x": normal(7, 7), "weight": normal(7, 7), "bias": normal(7), "residual": normal(7, 7)},
            lambda x, weight, bias, residual: F.linear(x, weight, bias) + residual,
        ),
    },
    "linear_gelu": {
        "seven": (
            {"x": normal(7, 7), "weight": normal(7, 7), "bias": normal(7), "residual": normal(7, 7)},
            lambda x, weight, bias, residual: gelu(F.linear(x, weight, bias)) + residual,
        ),
    },
    "attention": {
        "seven": (attention_inputs(2, 7, 7, 2, 2, 7), lambda q, k, v, *_: attention(q, k, v), ATTENDED),
        "causal": (
            attention_inputs(2, 7, 7, 2, 2, 16),
            lambda q, k, v, *_: attention(q, k, v, is_causal=True),
            ATTENDED,
        ),
        "causal, more keys": (
            attention_inputs(1, 3, 9, 1, 1, 8),
            lambda q, k, v, *_: attention(q, k, v, visible(3, 9)),
            ATTENDED,
        ),
        "grouped heads": (attention_inputs(1, 5, 6, 6, 2, 4), lambda q, k, v, *_: attention(q, k, v), ATTENDED),
        "window": (
            attention_inputs(1, 9, 11, 1, 1, 4),
            lambda q, k, v, *_: attention(q, k, v, visible(9, 11, 3, False)),
            ATTENDED,
        ),
        "rotary, interleaved": (attention_inputs(1, 5, 7, 2, 2, 8, 8), turned_attention("interleaved"), ATTENDED),
        "rotary, half": (attention_inputs(1, 7, 7, 2, 2, 8, 8), turned_attention("half", visible(7, 7)), ATTENDED),
        "seventy keys": (
            attention_inputs(1, 5, 70, 2, 1, 4),
            lambda q, k, v, *_: attention(q, k, v, visible(5, 70, 60)),
            ATTENDED,
        ),
        "sixty-five": (
            attention_inputs(1, 65, 65, 1, 1, 4),
            lambda q, k, v, *_: attention(q, k, v, is_causal=True),
            ATTENDED,
        ),
    },
    "self_attention": {
        "causal": (
            {
                "packed": normal(2, 7, 6, 16),
                "offsets": values(0, 7, 14),
                "lengths": values(7, 7),
                "table": rotary_table(7, 2),
            },
            lambda packed, *_: attention(*packed.split(2, 2), is_causal=True),
            ["packed"],
        ),
        "padding": (
            {
                "packed": normal(3, 7, 6, 4),
                "offsets": values(0, 3, 3, 10),
                "lengths": values(3, 0, 7),
                "table": rotary_table(7, 2),
            },
            lambda packed, *_: torch.stack(
                [
                    F.pad(attention(*x[None, :n].split(2, 2), is_causal=True)[0], (0, 0, 0, 0, 0, 7 - n))
                    if n
                    else 0 * x[:, :2]
                    for x, n in zip(packed, [3, 0, 7])
                ]
            ),
            ["packed"],
        ),
    },
    "cross_entropy": {
        "ignored rows": (
            {
                "logits": normal(9, 7, scale=3),
                "targets": values(3, -100, 0, 6, -100, 1, 2, 2, -100),
                "weights": uniform(9, low=0.5, high=2),
            },
            lambda logits, targets, weights: F.cross_entropy(logits, targets.long()),
            ["logits"],
        ),
        "smoothing, weights, sum": (
            {
                "logits": normal(5, 7, scale=3),
                "targets": values(3, -100, 0, 6, 1),
                "weights": uniform(5, low=0.5, high=2),
            },
            lambda logits, targets, weights: weighted_cross_entropy(logits, targets, weights, "sum", 0.2),
            ["logits"],
        ),
    },
    "swiglu": {
        "sixty-three": ({"x": normal(5, 126, scale=3)}, lambda x: F.silu(x[:, :63]) * x[:, 63:]),
    },
    "swiglu_pair": {
        "seven": ({"gate": normal(2, 3, 7, scale=3), "up": normal(2, 3, 7)}, lambda gate, up: F.silu(gate) * up),
    },
    "geglu": {
        "sixty-three": ({"x": normal(5, 126, scale=3)}, lambda x: gelu(x[:, :63]) * x[:, 63:]),
    },
    "geglu_pair": {
        "seven": ({"gate": normal(2, 3, 7, scale=3), "up": normal(2, 3, 7)}, lambda gate, up: gelu(gate) * up),
    },
    "linear_cross_entropy": {
        "ignored rows": linear_cross_entropy_case(
            lambda x, weight, bias, targets, weights, shares: F.cross_entropy(x @ weight.T, targets.long()),
            (9,), 3, 7, [3, -100, 0, 6, -100, 1, 2, 2, -100], ["x", "weight"],
        ),
        "smoothing, weights, sum": linear_cross_entropy_case(
            lambda x, weight, bias, targets, weights, shares: weighted_cross_entropy(
                x @ weight.T, targets, weights, "sum", 0.2
            ),
            (5,), 4, 7, [3, -100, 0, 6, 1], ["x", "weight"],
        ),
        "weighted bags": linear_cross_entropy_case(
            lambda x, weight, bias, targets, weights, shares: linear_cross_entropy(
                x, weight, None, targets, weights, shares, 0.1
            ),
            (9,), 5, 7,
            [
                [1, 2, -100, 3], [-100, -100, -100, -100], [0, 0, 6, -100], [5, 4, 3, 2], [-100, -100, -100, 1],
                [2, -100, 2, -100], [6, 5, -100, 0], [-100, 3, 3, 3], [1, -100, -100, 4],
            ],
            ["x", "weight"],
        ),
    },
    "linear_cross_entropy_bias": {
        "smoothing": linear_cross_entropy_case(
            lambda x, weight, bias, targets, weights, shares: F.cross_entropy(
                F.linear(x, weight, bias), targets.long(), label_smoothing=0.1
            ),
            (6,), 5, 63, [0, 62, 31, 7, 7, 16], ["x", "weight", "bias"],
        ),
        "bags": linear_cross_entropy_case(
            lambda x, weight, bias, targets, weights, shares: linear_cross_entropy(
                x, weight, bias, targets, torch.ones_like(weights), None
            ),
            (2, 4), 5, 11,
            [
                [[1, 2, -100], [-100, -100, -100], [0, 0, 6], [5, 4, 3]],
                [[-100, -100, 1], [2, -100, 2], [10, 5, -100], [-100, 3, 3]],
            ],
            ["x", "weight", "bias"],
        ),
        "soft cap and smoothing": linear_cross_entropy_case(
            lambda x, weight, bias, targets, weights, shares: linear_cross_entropy(
                x, weight, bias, targets[:, None], weights, None, 0.2, 3.0
            ),
            (6,), 5, 31, [0, 30, 7, 7, 12, 16], ["x", "weight", "bias"],
        ),
    },
    "linear_cross_entropy_rows": {
        "per row": linear_cross_entropy_case(
            lambda x, weight, bias, targets, weights, shares: weighted_cross_entropy(
                x @ weight.T, targets, weights, "none"
            ),
            (2, 3), 4, 7, [[1, -100, 6], [0, 3, 3]], [],
        ),
    },
    "layer_norm": {
        "seven": (
            {"x": normal(2, 3, 7), "weight": normal(7), "bias": normal(7)},
            lambda x, weight, bias: F.layer_norm(x, (7,), weight, bias),
        ),
        "sixty-three": (
            {"x": normal(5, 63), "weight": normal(63), "bias": normal(63)},
            lambda x, weight, bias: F.layer_norm(x, (63,), weight, bias),
        ),
    },
    "layer_norm_plain": {
        "seven": ({"x": normal(2, 3, 7)}, lambda x: F.layer_norm(x, (7,))),
    },
    "add_layer_norm": {
        "seven": (
            {"x": normal(2, 3, 7), "weight": normal(7), "bias": normal(7), "residual": normal(2, 3, 7)},
            lambda x, weight, bias, residual: (x + residual, F.layer_norm(x + residual, (7,), weight, bias)),
        ),
    },
    "rms_norm": {
        "seven": (
            {"x": normal(2, 3, 7), "weight": normal(7)},
            lambda x, weight: F.rms_norm(x, (7,), weight, 1e-6),
        ),
        "sixty-three": (
            {"x": normal(5, 63), "weight": normal(63)},
            lambda x, weight: F.rms_norm(x, (63,), weight, 1e-6),
        ),
    },
    "broadcast_to": {
        "between": ({"x": normal(2, 1, 3)}, lambda x: x.expand(2, 5, 3)),
        "checkered": ({"x": normal(1, 3, 1, 5)}, lambda x: x.expand(2, 3, 4, 5)),
    },
    "concat": {
        "between": ({"a": normal(2, 3, 5), "b": normal(2, 4, 5)}, lambda a, b: torch.cat([a, b, a], 1)),
    },
    "stack": {
        "behind": ({"a": normal(5, 63), "b": normal(5, 63)}, lambda a, b: torch.stack([a, b], -1)),
    },
    "gather": {
        "more than there are": (
            {"x": normal(3, 2), "index": integers(3, 63, limit=2)},
            lambda x, index: torch.gather(x, 1, index.long()),
        ),
        "smaller elsewhere": (
            {"x": normal(3, 4, 5), "index": integers(2, 6, 3, limit=4)},
            lambda x, index: torch.gather(x, 1, index.long()),
        ),
    },
    "slice": {
        "between": ({"x": normal(3, 7, 5)}, lambda x: x.narrow(1, 0, 6)),
    },
    "pad": {
        "rows": ({"x": normal(3, 7)}, lambda x: F.pad(x, (0, 0, 2, 1))),
    },
    "split": {
        "query, key, value": ({"x": normal(2, 3, 63)}, lambda x: x.split([21, 21, 21], -1)),
    },
    "transpose": {
        "heads apart": ({"x": normal(2, 7, 3, 5)}, lambda x: x.permute(0, 2, 1, 3)),
    },
    "top_k": {
        "sixty-three": ({"x": normal(5, 63)}, lambda x: top_k(x, 10)),
    },
    "matmul_top_k": {
        "left out": (
            {
                "x": normal(5, 7),
                "weight": normal(63, 7),
                "bias": normal(63),
                "excluded": integers(44, limit=63),
                "offsets": values(0, 0, 1, 41, 44, 44),
                "targets": integers(5, limit=63),
            },
            lambda x, weight, bias, excluded, offsets, targets: top_k(
                scores_of(x, weight, bias, excluded, offsets), 10
            ),
            [],
        ),
    },
    "matmul_rank": {
        "left out": (
            {
                "x": normal(5, 7),
                "weight": normal(63, 7),
                "bias": normal(63),
                "excluded": values(*range(44)),
                "offsets": values(0, 0, 1, 41, 44, 44),
                "targets": values(62, 50, 45, 60, 3),
            },
            lambda x, weight, bias, excluded, offsets, targets: rank_of(
                scores_of(x, weight, bias, excluded, offsets), targets
            ),
            [],
        ),
    },
    "cache_append": {
        "packed, half of the width turns": (
            {
                "keys": normal(2, 5, 2, 8),
                "values": normal(2, 5, 2, 8),
                "lengths": values(3, 0),
                "key": normal(2, 2, 8, 8),
                "value": normal(0),
                "counts": values(2, 2),
                "offsets": values(0, 2, 4),
                "rotary": turns(5, 4),
            },
            lambda keys, values, lengths, key, value, counts, offsets, rotary: cached(
                keys, values, lengths, key, counts, rotary, heads=4
            ),
            [],
        ),
    },
    "sample": {
        "greedy": ({"logits": steps(9, 63, per_unit=1)}, greedy, []),
    },
    "sample_supports": {
        "top-k": ({"logits": normal(3, 13)}, lambda logits: support(logits, k=4), []),
        "top-p": ({"logits": normal(3, 13)}, lambda logits: support(logits, p=0.7), []),
        "min-p": ({"logits": normal(3, 13)}, lambda logits: support(logits, least=0.3), []),
        "everything": (
            {"logits": normal(3, 13)},
            lambda logits: support(logits, temperature=2, k=10, p=0.9, least=0.25),
            [],
        ),
    },
    "argmax": {
        "between": ({"x": steps(3, 5, 7)}, lambda x: x.argmax(1).int(), []),
    },
    "sum": {
        "every other": ({"x": normal(2, 3, 4, 5, 6)}, lambda x: x.sum((1, 3))),
        "around": ({"x": normal(5, 6, 7)}, lambda x: x.sum((0, -1), keepdim=True)),
    },
    "mean": {
        "every other": ({"x": normal(2, 3, 4, 5, 6)}, lambda x: x.mean((1, 3))),
    },
    "max": {
        "every other": ({"x": normal(2, 3, 4, 5, 6)}, lambda x: x.amax((1, 3))),
    },
    "min": {
        "every other": ({"x": normal(2, 3, 4, 5, 6)}, lambda x: x.amin((1, 3))),
    },
}


UNARY = {
    "negate": torch.neg,
    "abs": torch.abs,
    "square": torch.square,
    "sqrt": (torch.sqrt, 0.1, 9),
    "rsqrt": (torch.rsqrt, 0.1, 9),
    "reciprocal": (torch.reciprocal, -9, -0.1),
    "exp": torch.exp,
    "log": (torch.log, 0.1, 9),
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "silu": F.silu,
    "gelu": gelu,
    "gelu_exact": F.gelu,
    "softplus": F.softplus,
}
for op, function in UNARY.items():
    function, *limits = function if isinstance(function, tuple) else (function,)
    x = uniform(3, 21, low=limits[0], high=limits[1]) if limits else normal(3, 21, scale=4)
    GOLDENS[op] = {"sixty-three": ({"x": x}, function)}

BINARY = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": (torch.div, 0.5, 2),
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "pow": (torch.pow, 0.5, 2),
}
for op, function in BINARY.items():
    function, *limits = function if isinstance(function, tuple) else (function,)
    number = (lambda *shape: uniform(*shape, low=limits[0], high=limits[1])) if limits else normal
    GOLDENS[op] = {
        "outer": ({"a": number(7, 1), "b": number(1, 63)}, function),
        "checkered": ({"a": number(2, 1, 4, 1), "b": number(3, 1, 5)}, function),
    }

COMPARISONS = {
    "equal": torch.eq,
    "not_equal": torch.ne,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
}
for op, function in COMPARISONS.items():
    compare = lambda a, b, function=function: function(a, b).to(torch.uint8)
    GOLDENS[op] = {
        "outer": ({"a": steps(1, 63), "b": steps(7, 1)}, compare, []),
        "int32": ({"a": integers(3, 63, limit=4), "b": integers(63, limit=4)}, compare),
    }
for op, function in {"logical_and": torch.logical_and, "logical_or": torch.logical_or}.items():
    logical = lambda a, b, function=function: function(a, b).to(torch.uint8)
    GOLDENS[op] = {"a row": ({"a": mask(5, 199), "b": mask(199)}, logical)}

GOLDENS |= {
    "logical_not": {
        "a mask": ({"x": mask(3, 63)}, lambda x: torch.logical_not(x).to(torch.uint8)),
    },
    "clamp": {
        "both": ({"x": normal(3, 63)}, lambda x: x.clamp(-0.5, 1)),
        "crossed": ({"x": normal(7)}, lambda x: x.clamp(1, -1)),
    },
    "cast": {
        "to int32": ({"x": normal(199, scale=1000)}, lambda x: x.to(torch.int32)),
        "int32 to uint8": (
            {"x": integers(199, limit=400)},
            lambda x: x.clamp(0, 255).to(torch.uint8),
        ),
    },
    "where": {
        "everything broadcast": (
            {"condition": mask(7, 1, 1), "a": normal(5, 1), "b": normal(3)},
            lambda condition, a, b: torch.where(condition.bool(), a, b),
        ),
    },
    "embedding": {
        "sixty-three wide": (
            {"table": normal(9, 63), "ids": integers(2, 5, limit=9)},
            lambda table, ids: F.embedding(ids, table),
        ),
        "one hundred ninety-nine ids": (
            {"table": normal(3, 5), "ids": integers(199, limit=3)},
            lambda table, ids: F.embedding(ids, table),
        ),
    },
    "embeddings": {
        "three features": (
            {
                "item": normal(11, 7),
                "genre": normal(5, 1),
                "rating": normal(3, 16),
                "items": integers(4, 5, limit=11),
                "genres": integers(4, 5, limit=5),
                "ratings": integers(4, 5, limit=3),
            },
            lambda item, genre, rating, items, genres, ratings: torch.cat(
                [item[items], genre[genres], rating[ratings]], -1
            ),
        ),
    },
    "embedding_bag": {
        mode: (
            {"table": normal(5, width), "ids": integers(offsets[-1], limit=5), "offsets": values(*offsets)},
            lambda table, ids, offsets, mode=mode: F.embedding_bag(
                ids, table, offsets, mode=mode, include_last_offset=True
            ),
        )
        for mode, width, offsets in [("mean", 7, [0, 3, 3, 4, 11]), ("sum", 63, [0, 0, 4, 6])]
    },
    "rms_norm_plain": {
        "seven": ({"x": normal(2, 3, 7)}, lambda x: F.rms_norm(x, (7,), eps=1e-6)),
    },
    "add_rms_norm": {
        "seven": (
            {"x": normal(2, 3, 7), "residual": normal(2, 3, 7), "weight": normal(7)},
            lambda x, residual, weight: (
                x + residual,
                F.rms_norm(x + residual, (7,), 1 + weight, 1e-6),
            ),
        ),
    },
    "accumulate": {
        "sixty-three": ({"target": normal(5, 63), "value": normal(5, 63)}, torch.add, []),
    },
    "accumulate_weighted": {
        "one": ({"target0": normal(1), "value0": normal(1)}, lambda t, v: t + 3 * v, []),
    },
    "divide_by": {
        "one": ({"target0": normal(1)}, lambda x: x / 3, []),
    },
    "scale_gradients": {
        "one": ({"gradient0": normal(1), "by": lambda g: torch.tensor(3.0).double()}, lambda x, by: x * by, []),
    },
    "global_norm": {
        "ragged": (
            {f"x{i}": normal(size, scale=10) for i, size in enumerate([7, 63, 0, 199])},
            lambda *parts: torch.nn.utils.get_total_norm(parts),
            [],
        ),
    },
    "clip_by_norm": {
        "clipped": (
            {"x": normal(199, scale=10)},
            lambda x: x * (1 / (torch.linalg.vector_norm(x) + 1e-6)).clamp(max=1),
            [],
        ),
    },
}


def golden(op, case, inputs, function, differentiable=None):
    generator = torch.Generator().manual_seed(SEED ^ zlib.crc32(f"{op} {case}".encode()))
    given = {name: make(generator) for name, make in inputs.items()}
    if differentiable is None:
        differentiable = [name for name, x in given.items() if x.is_floating_point()]
    for name in differentiable:
        given[name].requires_grad_()
    result = function(*given.values())
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    tensors = {f"in.{name}": x for name, x in given.items()} | {f"out.{i}": x for i, x in enumerate(outputs)}

    floating = [i for i, x in enumerate(outputs) if x.requires_grad]
    if floating:
        cotangents = [normal(*outputs[i].shape)(generator) for i in floating]
        gradients = torch.autograd.grad(
            [outputs[i] for i in floating],
            [given[name] for name in differentiable],
            cotangents,
            allow_unused=True,
            materialize_grads=True,
        )
        tensors |= {f"cotangent.{i}": x for i, x in zip(floating, cotangents)}
        tensors |= {f"grad.{name}": x for name, x in zip(differentiable, gradients)}
    return {name: x.detach().contiguous().clone() for name, x in tensors.items()}


def main(names):
    unknown = set(names) - set(GOLDENS)
    if unknown:
        sys.exit(f"no goldens of {', '.join(sorted(unknown))}; there are {', '.join(GOLDENS)}")
    metadata = {"torch": torch.__version__, "seed": str(SEED)}
    for op in names or GOLDENS:
        folder = FOLDER / op
        folder.mkdir(parents=True, exist_ok=True)
        for case, definition in GOLDENS[op].items():
            file = folder / f"{case.replace(' ', '-')}.safetensors"
            save_file(golden(op, case, *definition), file, metadata)
            print(f"{file.relative_to(FOLDER.parent.parent)}: {file.stat().st_size} bytes")


main(sys.argv[1:])
