"""Writes test/golden/safetensors: what Python's safetensors makes of known values.

    python scripts/goldens-safetensors.py

Written with safetensors 0.8.0 and torch 2.13.0. test/tensor/safetensors.test.ts has the same values.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

folder = Path(__file__).parent.parent / "test/golden/safetensors"
folder.mkdir(parents=True, exist_ok=True)

ramp = torch.arange(6).reshape(2, 3)
save_file(
    {
        "f64": ramp.double() / 7,
        "f32": ramp.float() / 7 - 0.5,
        "f16": ramp.half() - 2.5,
        "bf16": ramp.bfloat16() * 100,
        "i64": ramp - 3,
        "i32": ramp.int() * -1000,
        "i16": ramp.short() * 5000,
        "i8": ramp.to(torch.int8) - 128,
        "u8": ramp.to(torch.uint8) * 51,
        "bool": ramp % 2 == 1,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
    },
    folder / "dtypes.safetensors",
    metadata={"format": "pt"},
)

# Every half-precision number that is not a NaN, and its value as float32.
bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
halves = bits.view(torch.float16)
halves = halves[~halves.isnan()][::7].contiguous()
save_file({"halves": halves, "floats": halves.float()}, folder / "float16.safetensors")

# Only dtypes that tensors have here: writing it again must give the same bytes.
save_file(
    {
        "z": torch.ones(3, dtype=torch.uint8),
        "10": ramp.float(),
        "9": ramp.float() + 1,
        'quote " backslash \\ line\n': ramp.int(),
        "é": ramp.bfloat16(),
        "\U0001f600": ramp.bfloat16() * 2,
        "\uffee": ramp.bfloat16() * 3,
        "a": ramp.double(),
    },
    folder / "order.safetensors",
    metadata={"format": "pt"},
)
