"""The PyTorch side of the benchmarks: lines of JSON in, lines of JSON out. See bench/torch-peer.ts.

    {"inputs": [...], "paths": [...], "copies": 3, "differentiable": ["x"], "root": 0}
        -> for each path {"norm": the root's Euclidean norm}, or {"problem": "why it cannot run"}
    {"path": 0, "pass": "forward" or "backward", "runs": 10}
        -> seconds of one run, on average
    {"resident": true}
        -> the most memory that this process has had at a time, in bytes
"""

import contextlib
import json
import os
import signal
import sys
import time

import torch

import work

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "int32": torch.int32,
    "uint8": torch.uint8,
}
NAMES = {"torch": torch, "F": torch.nn.functional, **vars(work)}
TRIAL_SECONDS = 150
"""In which a path has to compile and to run once, forward and with backward."""


class OutOfTime(BaseException):
    """Not an Exception: nothing that compiles may swallow it."""


@contextlib.contextmanager
def time_limit(seconds):
    def stop(*_):
        raise OutOfTime(f"it takes more than {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def load(shape, file, dtype):
    if 0 in shape:
        return torch.empty(shape, dtype=DTYPES[dtype])
    size = torch.Size(shape).numel()
    return torch.from_file(file, size=size, dtype=DTYPES[dtype]).reshape(shape).clone()


class Path:
    """One way of doing the work, on its own copies of the inputs, which it uses in turns."""

    def __init__(self, inputs, copies, differentiable, root, *, expression, setup=None, compiled=False, precision=None):
        given = [self.arranged(inputs, setup, precision) for _ in range(copies)]
        function = eval(f"lambda {', '.join(given[0]) or '*_'}: {expression}", NAMES)
        self.function = torch.compile(function) if compiled else function
        self.copies = given
        self.autocast = precision == "autocast"
        self.leaves = [self.leaves_of(x, inputs, differentiable) for x in given]
        self.root = root
        self.turn = 0
        self.cotangent = None

    @staticmethod
    def arranged(inputs, setup, precision):
        def copied(x):
            return x.to(torch.bfloat16) if precision == "bfloat16" and x.is_floating_point() else x.clone()

        given = {name: copied(x) for name, x in inputs.items()}
        if setup is None:
            return given
        return eval(f"lambda {', '.join(given) or '*_'}: {setup}", NAMES)(**given)

    @staticmethod
    def leaves_of(given, inputs, differentiable):
        def is_leaf(name, x):
            made = bool(differentiable) and name not in inputs and isinstance(x, torch.Tensor) and x.is_floating_point()
            return name in differentiable or made

        return [x.requires_grad_() for name, x in given.items() if is_leaf(name, x)]

    def result(self, given):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            result = self.function(**given)
        return result[self.root] if isinstance(result, (tuple, list)) else result

    def next(self):
        self.turn = (self.turn + 1) % len(self.copies)
        return self.copies[self.turn]

    def forward(self):
        with torch.no_grad():
            return self.result(self.next())

    def backward(self):
        root = self.result(self.next())
        if self.cotangent is None:
            self.cotangent = torch.rand_like(root)
        torch.autograd.grad(root, self.leaves[self.turn], self.cotangent, allow_unused=True)

    def trial(self):
        root = self.forward()
        norm = root.double().norm().item() if isinstance(root, torch.Tensor) else None
        if self.leaves[0]:
            self.backward()
        return norm


def prepare(inputs, paths, copies, differentiable, root):
    """The paths that run, and what to say of each."""
    torch._dynamo.reset()
    tensors = {x.pop("name"): load(**x) for x in inputs}
    prepared, answers = [], []
    for path in paths:
        try:
            with time_limit(TRIAL_SECONDS):
                prepared.append(Path(tensors, copies, differentiable, root, **path))
                answers.append({"norm": prepared[-1].trial()})
        except (Exception, OutOfTime) as problem:
            prepared[len(answers) :] = [None]
            answers.append({"problem": (str(problem) or repr(problem)).strip().splitlines()[0]})
    return prepared, answers


def resident_peak():
    """Not by getrusage, which begins with what the parent had."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def main(threads):
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not mix with the replies

    def reply(value):
        print(json.dumps(value), file=replies, flush=True)

    torch.set_num_threads(threads)
    reply(torch.__version__)
    paths = []
    for line in sys.stdin:
        request = json.loads(line)
        if "paths" in request:
            paths.clear()
            paths, answers = prepare(**request)
            reply(answers)
            continue
        if "resident" in request:
            reply(resident_peak())
            continue
        path = paths[request["path"]]
        run = path.forward if request["pass"] == "forward" else path.backward
        began = time.perf_counter()
        for _ in range(request["runs"]):
            run()
        reply((time.perf_counter() - began) / request["runs"])


if __name__ == "__main__":
    main(int(sys.argv[1]))
