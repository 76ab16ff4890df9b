"""What PyTorch takes on a GPU for the work of our GPU kernels: the baselines that their bars are ratios of.

    python bench/peers/gpu_baselines.py --out bench/results/gpu/baselines.json [--minutes 9] [--only A1,B1]
    python bench/peers/gpu_baselines.py --dry-run --out FILE      tiny shapes, on the CPU where there is no GPU

Needs PyTorch alone; compiled variants need Triton and a C compiler too. The order is: ceilings of the machine; every
work eagerly, attention by each backend; then compiled, one mode after the other, until the time is over. The file is
written after each figure. Run again, the script goes on where it was.

A figure is the median of up to 50 runs, timed by events on the stream, over sets of inputs that are used in turns.
`peak_gb` is what a run holds beyond what was there before it was built.
"""

import argparse
import contextlib
import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic products ask for it

import torch
import torch._functorch.config
from torch.nn.attention import SDPBackend, sdpa_kernel

import gpu_works

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
MODES = ["default", "max-autotune-no-cudagraphs", "reduce-overhead"]
MOST_RUNS = 50
LEAST_RUNS = 3
RUN_SECONDS = 1.5
TRIAL_SECONDS = 90
"""In which a path has to compile and to run once."""


class OutOfTime(BaseException):
    """Not an Exception: nothing that compiles may swallow it."""


@contextlib.contextmanager
def time_limit(seconds):
    def stop(*_):
        raise OutOfTime(f"more than {seconds:.0f} s to compile and run once")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


class Clock:
    """Milliseconds of a run: on the stream of a GPU, else on the wall."""

    def __init__(self, device):
        self.gpu = device == "cuda"

    def synchronize(self):
        if self.gpu:
            torch.cuda.synchronize()

    def time(self, run):
        if not self.gpu:
            began = time.perf_counter()
            run()
            return 1e3 * (time.perf_counter() - began)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def sample(self, run, seconds):
        """Times of several runs, after two that do not count."""
        for _ in range(2):
            run()
        self.synchronize()
        times, began = [], time.perf_counter()
        while len(times) < LEAST_RUNS or (len(times) < MOST_RUNS and time.perf_counter() - began < seconds):
            times.append(self.time(run))
        return times


def machine(device):
    described = {"torch": torch.__version__, "python": sys.version.split()[0], "device": "cpu"}
    if device == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        with contextlib.suppress(OSError):
            described["driver"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
        described |= {
            "device": torch.cuda.get_device_name(),
            "memory_gb": torch.cuda.get_device_properties(0).total_memory / 1e9,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    with contextlib.suppress(ImportError):
        import triton

        described["triton"] = triton.__version__
    return described


def ceilings(device, clock, tiny, run_seconds):
    """A copy within the memory, and a large product in bfloat16: best of the runs."""
    size, side = (1 << 20, 256) if tiny else (1 << 30, 8_192)
    source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    copy = min(clock.sample(lambda: target.copy_(source), run_seconds))
    product = min(clock.sample(lambda: a @ b, run_seconds))
    return {"copy_gb_s": 2 * size / copy / 1e6, "product_tflops": 2 * side**3 / product / 1e9}


def default_backend(device, batch, length, heads, width):
    """What scaled_dot_product_attention picks by itself for a causal self-attention in bfloat16."""
    q = torch.empty(batch, heads, length, width, device=device, dtype=torch.bfloat16, requires_grad=True)
    return SDPBackend(torch._fused_sdp_choice(q, q, q, None, 0.0, True)).name


class Report:
    """The results so far, kept in a file."""

    def __init__(self, path, described):
        self.path = path
        self.content = {"machine": described, "ceilings": {}, "default_backends": {}, "results": []}
        if path.exists():
            before = json.loads(path.read_text())
            if before["machine"] == described:
                self.content = before

    def has(self, row, work, path):
        return any((x["row"], x["work"], x["path"]) == (row, work, path) for x in self.content["results"])

    def add(self, **result):
        self.content["results"].append(result)
        self.write()
        shown = f"{result['ms']:.3f} ms" if "ms" in result else result["problem"]
        print(f"{result['row']:3} {result['work']} | {result['path']}: {shown}", flush=True)

    def write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.content, indent=1) + "\n")
        partial.replace(self.path)

    def table(self):
        """For each work: the fastest eager path and the fastest compiled one."""
        lines = ["| row | work | eager | ms | compiled | ms | runs |", "|---|---|---|---|---|---|---|"]
        works = dict.fromkeys((x["row"], x["work"]) for x in self.content["results"])
        for row, work in works:
            timed = [x for x in self.content["results"] if (x["row"], x["work"]) == (row, work) and "ms" in x]
            cells = [row, work]
            for compiled in (False, True):
                best = min((x for x in timed if x["compiled"] == compiled), key=lambda x: x["ms"], default=None)
                cells += [best["path"], f"{best['ms']:.3f}"] if best else ["", ""]
            cells.append(str(min((x["runs"] for x in timed), default="")))
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def paths(work, modes):
    """Name, `wrap`, options of `build`, backend of attention, whether it is compiled."""
    for way, options in work.ways.items():

        def named(variant):
            return f"{way}, {variant}" if way else variant

        if way != "flex":
            yield named("eager"), lambda f: f, options, None, False
        if work.attends and way == "":
            for name, backend in BACKENDS.items():
                yield named(name), lambda f: f, options, backend, False
        for mode in modes if work.compiles else []:
            yield named(f"compiled {mode}"), (lambda f, mode=mode: torch.compile(f, mode=mode)), options, None, True


def measure(work, wrap, options, backend, clock, seconds, run_seconds):
    """Figures of one path, or what kept it from running."""
    gpu = clock.gpu
    torch._dynamo.reset()
    try:
        if gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        with sdpa_kernel(backend) if backend else contextlib.nullcontext():
            with time_limit(min(TRIAL_SECONDS, seconds)):
                run = work.build(wrap, **options)
                run()
                clock.synchronize()
            times = clock.sample(run, min(run_seconds, seconds))
        median = statistics.median(times)
        result = {"ms": median, "least_ms": min(times), "runs": len(times)}
        if work.flops:
            result["tflops"] = work.flops / median / 1e9
        if work.bytes:
            result["gb_s"] = work.bytes / median / 1e6
        if gpu:
            result["peak_gb"] = (torch.cuda.max_memory_allocated() - held) / 1e9
        return result
    except torch.OutOfMemoryError:
        return {"problem": "out of memory"}
    except (Exception, OutOfTime) as problem:
        return {"problem": (str(problem) or repr(problem)).strip().splitlines()[0][:300]}
    finally:
        torch.use_deterministic_algorithms(False)
        run = None
        gc.collect()


def is_broken():
    """Whether an earlier failure has left the GPU unusable for this process."""
    try:
        torch.zeros(1, device="cuda").item()
        return False
    except RuntimeError:
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the JSON that results are added to")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", default="", help="rows, such as A1,B1")
    parser.add_argument("--modes", default=",".join(MODES), help="of torch.compile; none: eager only")
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # carries the end over a restart
    arguments = parser.parse_args()
    until = arguments.until or time.time() + 60 * arguments.minutes
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not arguments.dry_run:
        parser.error("there is no GPU; --dry-run tries the script on the CPU")

    torch._functorch.config.donated_buffer = False  # backward alone goes through its graph again and again
    torch.manual_seed(0)
    clock = Clock(device)
    if device == "cpu":
        torch.set_num_threads(1)
    run_seconds = 0.02 if arguments.dry_run else RUN_SECONDS
    report = Report(arguments.out, machine(device))
    content = report.content
    if not content["ceilings"]:
        content["ceilings"] = ceilings(device, clock, arguments.dry_run, run_seconds)
        for row, make, sizes, small in gpu_works.ROWS:
            if make is gpu_works.attention:
                shape = {**sizes, **small} if arguments.dry_run else sizes
                shape = {name: shape[name] for name in ("batch", "length", "heads", "width")}
                content["default_backends"][json.dumps(shape)] = default_backend(device, **shape)
        report.write()
        print(json.dumps({name: content[name] for name in ("machine", "ceilings", "default_backends")}, indent=1))

    rows = set(filter(None, arguments.only.split(",")))
    works = [(row, work) for row, work in gpu_works.works(device, arguments.dry_run) if not rows or row in rows]
    modes = list(filter(None, arguments.modes.split(",")))
    for phase in ["eager", *modes]:
        for row, work in works:
            for name, wrap, options, backend, compiled in paths(work, modes):
                wanted = name.endswith(f"compiled {phase}") if compiled else phase == "eager"
                left = until - time.time()
                if not wanted or report.has(row, work.name, name):
                    continue
                if left < 2:
                    print(f"the time is over before: {row} {work.name}, {name}", flush=True)
                    break
                figures = measure(work, wrap, options, backend, clock, left, run_seconds)
                report.add(row=row, work=work.name, path=name, compiled=compiled, **figures)
                if device == "cuda" and "problem" in figures and is_broken():
                    again = [sys.executable, *sys.argv, "--until", str(until)]
                    os.execv(sys.executable, again)
    print(f"\n{report.table()}")


if __name__ == "__main__":
    main()
