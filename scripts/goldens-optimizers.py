"""Writes test/golden/optimizers: parameters after 20 steps of PyTorch's optimizers, in float64.

    python scripts/goldens-optimizers.py

Written with torch 2.13.0 and safetensors 0.8.0. test/optim/optimizers.test.ts has the same values and options.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

STEPS = 20
SHAPES = [(3, 5), (7,), (1,), (4, 3, 2)]

adamw = {"lr": 3e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}
CASES = {
    "adamw": (torch.optim.AdamW, adamw, None),
    "adamw_clipped": (torch.optim.AdamW, adamw, 0.5),
    "adamw_groups": (torch.optim.AdamW, adamw, None),
    "sgd": (torch.optim.SGD, {"lr": 1e-2, "weight_decay": 0.05}, None),
    "sgd_momentum": (torch.optim.SGD, {"lr": 1e-2, "weight_decay": 0.05, "momentum": 0.9}, 1.0),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 1e-2, "weight_decay": 0.05, "momentum": 0.9, "nesterov": True}, None),
}


def ramp(shape):
    return torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64).reshape(shape)


def groups(parameters, options):
    """No weight decay and half the learning rate for vectors."""
    matrices = [p for p in parameters if p.dim() > 1]
    vectors = [p for p in parameters if p.dim() <= 1]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0, "lr": options["lr"] / 2}]


results = {}
for name, (optimizer, options, clip) in CASES.items():
    parameters = [torch.nn.Parameter(torch.sin(ramp(shape) * (0.1 + i))) for i, shape in enumerate(SHAPES)]
    steps = optimizer(groups(parameters, options) if name.endswith("groups") else parameters, **options)
    norms = []
    for step in range(STEPS):
        for i, parameter in enumerate(parameters):
            # One parameter has no gradient in every third step.
            skipped = i == 2 and step % 3 == 0
            parameter.grad = None if skipped else torch.cos(ramp(parameter.shape) * (0.3 + i) + step)
        if clip is not None:
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, clip))
        steps.step()
    for i, parameter in enumerate(parameters):
        results[f"{name}.{i}"] = parameter.detach()
    if clip is not None:
        results[f"{name}.norms"] = torch.stack(norms)

folder = Path(__file__).parent.parent / "test/golden/optimizers"
folder.mkdir(parents=True, exist_ok=True)
save_file(results, folder / "steps.safetensors")
