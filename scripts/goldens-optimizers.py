"""Writes test/golden/optimizers: parameters after 20 steps of optimizers, in float64.

Those of PyTorch and, for Adafactor, of transformers; Lion, which neither has, is algorithm 2 of arXiv:2302.06675.

    python scripts/goldens-optimizers.py

Written with torch 2.13.0, transformers 5.18.0 and safetensors 0.8.0. test/optim/optimizers.test.ts has the same values and options.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers.optimization import Adafactor

STEPS = 20
SHAPES = [(3, 5), (7,), (1,), (4, 3, 2), (1, 1), (0, 3), ()]


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas, weight_decay):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                direction = torch.sign(beta1 * m + (1 - beta1) * p.grad)
                p -= group["lr"] * (direction + group["weight_decay"] * p)
                m.copy_(beta2 * m + (1 - beta2) * p.grad)



adamw = {"lr": 3e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}
lion = {"lr": 1e-2, "betas": (0.9, 0.99), "weight_decay": 0.1}
adafactor = {"relative_step": False, "lr": 0.1}
CASES = {
    "adafactor": (Adafactor, adafactor, None),
    "adafactor_clipped": (Adafactor, {**adafactor, "beta1": 0.9, "weight_decay": 0.1}, 0.5),
    "adafactor_groups": (Adafactor, {**adafactor, "lr": 0.02, "scale_parameter": False, "weight_decay": 0.1}, None),
    "adafactor_relative": (Adafactor, {"clip_threshold": 0.7, "decay_rate": -0.6}, None),
    "adafactor_warmup": (Adafactor, {"warmup_init": True, "eps": (1e-3, 0.5)}, None),
    "adamw": (torch.optim.AdamW, adamw, None),
    "adamw_clipped": (torch.optim.AdamW, adamw, 0.5),
    "adamw_groups": (torch.optim.AdamW, adamw, None),
    "lion": (Lion, lion, None),
    "lion_clipped": (Lion, lion, 0.5),
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
