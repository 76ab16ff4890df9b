"""The PyTorch side of `npm run bench -- ops`: lines of JSON in, lines of JSON out. See bench/torch-peer.ts."""

import json
import sys
import time

import torch
import torch.nn.functional as F

DTYPES = {"float32": torch.float32, "int32": torch.int32, "uint8": torch.uint8}


def load(name, shape, file, dtype):
    count = 1
    for size in shape:
        count *= size
    return torch.from_file(file, size=count, dtype=DTYPES[dtype]).reshape(shape).clone() if count else torch.empty(
        shape, dtype=DTYPES[dtype]
    )


class Case:
    def __init__(self, inputs, expression, copies, differentiable, root):
        tensors = {x["name"]: load(**x) for x in inputs}
        self.copies = [{name: x.clone() for name, x in tensors.items()} for _ in range(copies)]
        self.function = eval(f"lambda {', '.join(tensors) or '*_'}: {expression}", {"torch": torch, "F": F})
        self.differentiable = differentiable
        self.root = root
        self.turn = 0
        self.cotangent = None

    def next(self):
        self.turn += 1
        return self.copies[self.turn % len(self.copies)]

    def forward(self):
        with torch.no_grad():
            self.function(**self.next())

    def backward(self):
        given = self.next()
        leaves = [given[name].requires_grad_() for name in self.differentiable]
        result = self.function(**given)
        root = result[self.root] if isinstance(result, (tuple, list)) else result
        if self.cotangent is None:
            self.cotangent = torch.rand_like(root)
        torch.autograd.grad(root, leaves, self.cotangent, allow_unused=True)


def answer(value):
    print(json.dumps(value), flush=True)


torch.set_num_threads(int(sys.argv[1]))
answer(torch.__version__)
case = None
for line in sys.stdin:
    request = json.loads(line)
    if "expression" in request:
        case = None
        case = Case(**request)
        answer(None)
        continue
    run = case.forward if request["pass"] == "forward" else case.backward
    began = time.perf_counter()
    for _ in range(request["runs"]):
        run()
    answer((time.perf_counter() - began) / request["runs"])
