"""What the expressions of the benchmarks may name: the work of the fused ops, as one writes it in PyTorch.

Tensors have the layouts that PyTorch likes best; a case brings its own into them in its `setup`, which is not timed.
"""

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from language import adapter_step, decode, prefill  # noqa: F401: expressions name them
from models import EncoderLayer, FeatureEncoder, lora_linear, training_step  # noqa: F401


def attention(query, key, value, backend, causal=True):
    """`[batch, heads, length, head width]` each, by one backend: "MATH", "FLASH_ATTENTION", ..."""
    with sdpa_kernel(getattr(SDPBackend, backend)):
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)


def composed_attention(query, key, value):
    """Causal, from separate operations, for a compiler to fuse."""
    length = query.shape[-2]
    hidden = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
    scores = query @ key.mT * query.shape[-1] ** -0.5
    return torch.softmax(scores.masked_fill(hidden, float("-inf")), -1) @ value


def linear_cross_entropy(x, weight, targets):
    return F.cross_entropy(F.linear(x, weight), targets)


def chunked_linear_cross_entropy(x, weight, targets):
    """PyTorch's own, which never holds all logits; from 2.13 on."""
    return F.linear_cross_entropy(x, weight, targets, options=torch.nn.LinearCrossEntropyOptions())


def swiglu(gate, up):
    return F.silu(gate) * up
