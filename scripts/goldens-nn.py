"""Golden outputs of layers: the same layers in PyTorch, from the same weights.

    python scripts/goldens-nn.py

Writes test/golden/nn/<layer>.safetensors: inputs (in.*), parameters by our names (parameter.*), the output, and every
gradient of sum(output * cotangent). For the transformer block also three AdamW steps on mean(output ** 2): the losses,
the first gradients (first.*) and the parameters after them (trained.*).
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

SEED = 5


class Layer:
    """Random parameters by our names, made as they are asked for, and PyTorch's functions on them."""

    def __init__(self):
        self.parameters = {}

    def parameter(self, name, make):
        if name not in self.parameters:
            self.parameters[name] = make().requires_grad_()
        return self.parameters[name]

    def linear(self, name, x, out_width, bias=True):
        weight = self.parameter(f"{name}.weight", lambda: torch.randn(out_width, x.shape[-1]) / x.shape[-1] ** 0.5)
        return F.linear(x, weight, self.parameter(f"{name}.bias", lambda: 0.1 * torch.randn(out_width)) if bias else None)

    def layer_norm(self, name, x):
        width = x.shape[-1]
        weight = self.parameter(f"{name}.weight", lambda: 1 + 0.1 * torch.randn(width))
        return F.layer_norm(x, (width,), weight, self.parameter(f"{name}.bias", lambda: 0.1 * torch.randn(width)))

    def rms_norm(self, name, x):
        width = x.shape[-1]
        weight = self.parameter(f"{name}.weight", lambda: 1 + 0.1 * torch.randn(width))
        return F.rms_norm(x, (width,), weight, 1e-6)

    def mlp(self, name, x, hidden):
        return self.linear(f"{name}.down", F.gelu(self.linear(f"{name}.up", x, hidden), approximate="tanh"), x.shape[-1])

    def attend(self, query, key, value, head_width, lengths=None, **options):
        """`[batch, length, heads * head_width]` each; keys from `lengths` on are hidden."""

        def split(x):
            return x.unflatten(-1, (-1, head_width)).transpose(1, 2)

        mask = None if lengths is None else (torch.arange(key.shape[1]) < lengths[:, None])[:, None, None]
        attended = F.scaled_dot_product_attention(
            split(query), split(key), split(value), attn_mask=mask, enable_gqa=True, **options
        )
        return attended.transpose(1, 2).flatten(-2)

    def cross_attention(self, name, x, context, heads, head_width, lengths, gate=False):
        query, key, value = (
            self.linear(f"{name}.{part}", of, heads * head_width)
            for part, of in (("query", x), ("key", context), ("value", context))
        )
        result = self.linear(f"{name}.output", self.attend(query, key, value, head_width, lengths), x.shape[-1])
        return torch.tanh(self.parameter(f"{name}.gate", lambda: torch.tensor([0.7]))) * result if gate else result


def rotate_half(x, base=10000.0):
    """Rotary embedding of `[batch, length, heads, width]`, pairs half the width apart."""
    length, half = x.shape[1], x.shape[-1] // 2
    angles = torch.arange(length)[:, None] * base ** (-torch.arange(half) / half)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def transformer_block(layer, x):
    """Layer norm, causal attention of 4 heads, a GELU MLP 24 wide."""
    qkv = layer.linear("attention.qkv", layer.layer_norm("attentionNorm", x), 48)
    attended = layer.attend(*qkv.chunk(3, -1), head_width=4, is_causal=True)
    x = x + layer.linear("attention.output", attended, 16)
    return x + layer.mlp("mlp", layer.layer_norm("mlpNorm", x), 24)


def llama_block(layer, x):
    """RMS norm, causal attention with rotary positions, 4 heads over 2, SwiGLU 24 wide, no biases."""
    qkv = layer.linear("attention.qkv", layer.rms_norm("attentionNorm", x), 32, bias=False)
    query, key, value = qkv.split((16, 8, 8), -1)
    query, key = (rotate_half(part.unflatten(-1, (-1, 4))).flatten(-2) for part in (query, key))
    x = x + layer.linear("attention.output", layer.attend(query, key, value, 4, is_causal=True), 16, bias=False)
    normed = layer.rms_norm("mlpNorm", x)
    gate, up = (layer.linear(f"mlp.{part}", normed, 24, bias=False) for part in ("gate", "up"))
    return x + layer.linear("mlp.down", F.silu(gate) * up, 16, bias=False)


def gated_mlp(activation):
    """12 wide inside, with biases."""

    def apply(layer, x):
        gate, up = (layer.linear(part, x, 12) for part in ("gate", "up"))
        return layer.linear("down", activation(gate) * up, 8)

    return apply


def cross_attention(layer, x, context, lengths):
    """4 heads into a context 12 wide of two lengths, gated, added to its input."""
    return x + layer.cross_attention("", x, context, 4, 4, lengths, gate=True)


def perceiver(layer, context, lengths):
    """3 latents 16 wide, 2 layers of 4 heads over a context 12 wide of two lengths."""
    context = layer.layer_norm("contextNorm", context)
    x = layer.parameter("latents", lambda: torch.randn(3, 16)).expand(len(context), -1, -1)
    for i in range(2):
        query = layer.layer_norm(f"layers.{i}.attentionNorm", x)
        x = x + layer.cross_attention(f"layers.{i}.attention", query, context, 4, 4, lengths)
        x = x + layer.mlp(f"layers.{i}.mlp", layer.layer_norm(f"layers.{i}.mlpNorm", x), 24)
    return layer.layer_norm("norm", x)


LENGTHS = torch.tensor([5, 3], dtype=torch.int32)
LAYERS = {
    "transformer-block": (transformer_block, {"x": torch.Size((2, 5, 16))}),
    "llama-block": (llama_block, {"x": torch.Size((2, 5, 16))}),
    "gated-mlp-silu": (gated_mlp(F.silu), {"x": torch.Size((2, 5, 8))}),
    "gated-mlp-gelu": (gated_mlp(lambda x: F.gelu(x, approximate="tanh")), {"x": torch.Size((2, 5, 8))}),
    "cross-attention": (cross_attention, {"x": torch.Size((2, 3, 16)), "context": torch.Size((2, 5, 12)), "lengths": LENGTHS}),
    "perceiver": (perceiver, {"context": torch.Size((2, 5, 12)), "lengths": LENGTHS}),
}


def three_steps(function, layer, inputs):
    """Trains `layer` and returns what it went through."""
    seen = {}
    optimizer = torch.optim.AdamW(layer.parameters.values(), lr=1e-2, weight_decay=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = function(layer, **inputs).square().mean()
        loss.backward()
        if not losses:
            seen |= {f"first.{name}": value.grad.clone() for name, value in layer.parameters.items()}
        optimizer.step()
        losses.append(loss.detach())
    seen["losses"] = torch.stack(losses)
    return seen | {f"trained.{name}": value.detach() for name, value in layer.parameters.items()}


def main() -> None:
    folder = Path(__file__).parent.parent / "test/golden/nn"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (function, described) in LAYERS.items():
        torch.manual_seed(SEED)
        layer = Layer()
        inputs = {
            key: torch.randn(value).requires_grad_() if isinstance(value, torch.Size) else value
            for key, value in described.items()
        }
        output = function(layer, **inputs)
        layer.parameters = {key.lstrip("."): value for key, value in layer.parameters.items()}
        tensors = {f"in.{key}": value.detach() for key, value in inputs.items()}
        tensors |= {f"parameter.{key}": value.detach().clone() for key, value in layer.parameters.items()}
        tensors |= {"in.cotangent": torch.randn_like(output), "out": output.detach()}
        (output * tensors["in.cotangent"]).sum().backward()
        tensors |= {f"grad.in.{key}": value.grad for key, value in inputs.items() if value.grad is not None}
        tensors |= {f"grad.{key}": value.grad.clone() for key, value in layer.parameters.items()}
        if name == "transformer-block":
            tensors |= three_steps(function, layer, {key: value.detach() for key, value in inputs.items()})
        save_file(
            {key: tensor.contiguous() for key, tensor in tensors.items()},
            folder / f"{name}.safetensors",
            metadata={"torch": torch.__version__, "seed": str(SEED)},
        )


if __name__ == "__main__":
    main()
