"""Golden outputs of modules: the same in PyTorch, from the same weights.

    python scripts/goldens-nn.py

Writes test/golden/nn/transformer-block.safetensors: inputs (in.*), parameters by our names (parameter.*), the output,
every gradient of sum(output * cotangent), and of three AdamW steps on mean(output ** 2) the losses, the first gradients
(first.*) and the parameters after them (trained.*).

And test/golden/nn/gated-mlp.safetensors: for each activation (silu.*, gelu.*) the same but for the steps.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

SEED, WIDTH, HEADS, HIDDEN, BATCH, LENGTH = 5, 16, 4, 24, 2, 5


def parameters() -> dict[str, torch.Tensor]:
    """Random values for every parameter, named as `TransformerBlock` names them."""
    shapes = {"attentionNorm": WIDTH, "mlpNorm": WIDTH}
    linears = {f"attention.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value", "output")}
    linears |= {"mlp.up": (HIDDEN, WIDTH), "mlp.down": (WIDTH, HIDDEN)}
    made = {}
    for name, width in shapes.items():
        made[f"{name}.weight"] = 1 + 0.1 * torch.randn(width)
        made[f"{name}.bias"] = 0.1 * torch.randn(width)
    for name, shape in linears.items():
        made[f"{name}.weight"] = torch.randn(shape) / shape[1] ** 0.5
        made[f"{name}.bias"] = 0.1 * torch.randn(shape[0])
    return made


def block(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    def linear(name, x):
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def norm(name, x):
        return F.layer_norm(x, (WIDTH,), p[f"{name}.weight"], p[f"{name}.bias"])

    def heads(x):
        return x.view(BATCH, LENGTH, HEADS, WIDTH // HEADS).transpose(1, 2)

    normed = norm("attentionNorm", x)
    query, key, value = (heads(linear(f"attention.{name}", normed)) for name in ("query", "key", "value"))
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    x = x + linear("attention.output", attended.transpose(1, 2).reshape(BATCH, LENGTH, WIDTH))
    return x + linear("mlp.down", F.gelu(linear("mlp.up", norm("mlpNorm", x)), approximate="tanh"))


def main() -> None:
    torch.manual_seed(SEED)
    p = parameters()
    x, cotangent = torch.randn(BATCH, LENGTH, WIDTH), torch.randn(BATCH, LENGTH, WIDTH)
    tensors = {"in.x": x, "in.cotangent": cotangent} | {f"parameter.{name}": value.clone() for name, value in p.items()}

    x.requires_grad_()
    for value in p.values():
        value.requires_grad_()
    output = block(p, x)
    (output * cotangent).sum().backward()
    tensors |= {"out": output.detach(), "grad.x": x.grad} | {f"grad.{name}": value.grad for name, value in p.items()}

    optimizer = torch.optim.AdamW(p.values(), lr=1e-2, weight_decay=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = block(p, x.detach()).square().mean()
        loss.backward()
        if not losses:
            tensors |= {f"first.{name}": value.grad.clone() for name, value in p.items()}
        optimizer.step()
        losses.append(loss.detach())
    tensors["losses"] = torch.stack(losses)
    tensors |= {f"trained.{name}": value.detach() for name, value in p.items()}

    save("transformer-block", tensors)
    save("gated-mlp", gated_mlp())


def gated_mlp() -> dict[str, torch.Tensor]:
    width, hidden = 8, 12
    shapes = {"gate": (hidden, width), "up": (hidden, width), "down": (width, hidden)}
    tensors = {}
    for name, activation in {"silu": F.silu, "gelu": lambda x: F.gelu(x, approximate="tanh")}.items():
        p = {f"{layer}.weight": torch.randn(shape) for layer, shape in shapes.items()}
        p |= {f"{layer}.bias": torch.randn(shape[0]) for layer, shape in shapes.items()}
        x, cotangent = torch.randn(2, 5, width), torch.randn(2, 5, width)
        given = {"in.x": x, "in.cotangent": cotangent} | {f"parameter.{name}": value for name, value in p.items()}
        for value in (x, *p.values()):
            value.requires_grad_()
        linear = lambda layer, x: F.linear(x, p[f"{layer}.weight"], p[f"{layer}.bias"])
        output = linear("down", activation(linear("gate", x)) * linear("up", x))
        (output * cotangent).sum().backward()
        made = {"out": output, "grad.x": x.grad} | {f"grad.{name}": value.grad for name, value in p.items()}
        tensors |= {f"{name}.{key}": value.detach() for key, value in (given | made).items()}
    return tensors


def save(name: str, tensors: dict[str, torch.Tensor]) -> None:
    path = Path(__file__).parent.parent / f"test/golden/nn/{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        path,
        metadata={"torch": torch.__version__, "seed": str(SEED)},
    )


if __name__ == "__main__":
    main()
