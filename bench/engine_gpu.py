"""Measures the engine on a GPU: true-size Stable Diffusion 1.5 and SDXL with random weights.

    python -m bench.engine_gpu --out docs/benchmarks

takes less than ten minutes and needs no model hub: a plain Python with torch, transformers and
safetensors, with Diffusers, greenlet and this repository on the path. Random weights are as fast as
trained ones. `--tiny` runs the same with toy sizes on a CPU, to see that it works.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch

from bench.true_size import SD15, SDXL, Subject, arguments, build
from bench.workload import driven
from serve_app.engine import forward
from serve_app.engine.engine import Engine
from serve_app.engine.order import Order

STEPS = 30
TIMEOUT_S = 600
#: Rows of the t(rows) curve.
ROWS = (1, 2, 4, 8, 16, 32)
JOBS = 16


def main() -> None:
    """Measure what the command line names; one JSON object at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--dtype", default="float16", choices=["float16", "bfloat16", "float32"])
    parser.add_argument("--subjects", nargs="*", default=["sd15", "sdxl"])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="toy sizes on the CPU")
    options = parser.parse_args()
    device = "cpu" if options.tiny else "cuda"
    dtype = torch.float32 if options.tiny else getattr(torch, options.dtype)
    figures: dict[str, Any] = {
        "device": "cpu" if options.tiny else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "dtype": str(dtype).removeprefix("torch."),
        "matmul_tflops": round(matmul_tflops(device), 1),
    }
    for subject in (SD15, SDXL):
        if subject.name in options.subjects:
            measured = measure(subject, options, device=device, dtype=dtype)
            figures |= {f"{subject.name}_{name}": value for name, value in measured.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    name = figures["device"].replace(" ", "-").lower()
    (options.out / f"engine-{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))


def matmul_tflops(device: str) -> float:
    """The device's own bfloat16 matrix rate, TFLOP/s: the ceiling of this very run."""
    side = 8192 if device == "cuda" else 512
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = _median(lambda: a @ b, device, times=10)
    return 2 * side**3 / seconds / 1e12


def measure(
    subject: Subject, options: argparse.Namespace, *, device: str, dtype: torch.dtype
) -> dict[str, Any]:
    """Images per second of the plain loop, compiled and not, and of the engine."""
    pipeline = build(subject, device=device, dtype=dtype, tiny=options.tiny)
    figures: dict[str, Any] = {"rows": curve(pipeline, subject, options, device=device)}
    jobs = 4 if options.tiny else JOBS
    ratios, rates = [], []

    def work(engine: Engine) -> None:
        together(engine, pipeline, subject, options, jobs=2)
        for _ in range(options.pairs):
            plain = plainly(pipeline, subject, options, jobs=2) / 2
            ours = together(engine, pipeline, subject, options, jobs=jobs) / jobs
            ratios.append(plain / ours)
            rates.append(1 / ours)

    driven("shortest", 1, work)
    figures["engine_over_plain"] = round(statistics.median(ratios), 3)
    figures["engine_images_per_s"] = round(statistics.median(rates), 4)
    tflops = statistics.median(rates) * subject.tflop_per_row * 2 * STEPS
    figures["engine_tflops"] = round(tflops, 1)
    figures["psnr_db"] = round(psnr(pipeline, subject, options), 1)
    if device == "cuda":
        figures["compiled_over_plain"] = round(compiled(pipeline, subject, options), 3)
        torch.cuda.empty_cache()
    return figures


def plainly(pipeline: Any, subject: Subject, options: argparse.Namespace, *, jobs: int) -> float:
    """Seconds of the plain loop."""
    started = time.perf_counter()
    with torch.no_grad():
        for seed in range(jobs):
            pipeline(**arguments(pipeline, subject, options, seed=seed, steps=STEPS))
    _wait(pipeline.unet.device.type)
    return time.perf_counter() - started


def together(
    engine: Any, pipeline: Any, subject: Subject, options: argparse.Namespace, *, jobs: int
) -> float:
    """Seconds of the engine."""
    started = time.perf_counter()
    tickets = []
    for seed in range(jobs):
        given = arguments(pipeline, subject, options, seed=seed, steps=STEPS)
        order = Order(pipeline=pipeline, arguments=given, steps=STEPS, rows=2)
        tickets.append(engine.submit(order))
    for ticket in tickets:
        ticket.future.result(TIMEOUT_S)
    _wait(pipeline.unet.device.type)
    return time.perf_counter() - started


def curve(
    pipeline: Any, subject: Subject, options: argparse.Namespace, *, device: str
) -> list[dict[str, float]]:
    """Seconds of a forward, and memory above the weights, by rows."""
    caught: list[Any] = []
    run = forward.run

    def catch(calls: Any, *, to_rows: int = 0, module: Any = None) -> Any:
        caught.extend(calls)
        return run(calls, to_rows=to_rows, module=module)

    given = arguments(pipeline, subject, options, seed=0, steps=1)
    order = Order(pipeline=pipeline, arguments=given, steps=1, rows=2)
    forward.run = catch
    try:
        driven("shortest", 1, lambda engine: engine.submit(order).future.result(TIMEOUT_S))
    finally:
        forward.run = run
    points = []
    with torch.no_grad():
        for rows in ROWS[:3] if options.tiny else ROWS:
            seconds = _median(lambda rows=rows: run(caught[:1], to_rows=rows), device, times=3)
            point = {"rows": max(rows, 2), "seconds": round(seconds, 5)}
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                run(caught[:1], to_rows=rows)
                peak = torch.cuda.max_memory_allocated() - before
                point["memory_mb"] = round(peak / 2**20, 1)
            points.append(point)
    return points


def psnr(pipeline: Any, subject: Subject, options: argparse.Namespace) -> float:
    """Worst signal-to-noise ratio of four calls in company against the plain calls, dB."""
    steps, worst = 10, float("inf")
    with torch.no_grad():
        plain = [
            pipeline(**arguments(pipeline, subject, options, seed=seed, steps=steps)).images
            for seed in range(4)
        ]

    def made(engine: Engine) -> list[torch.Tensor]:
        tickets = []
        for seed in range(4):
            given = arguments(pipeline, subject, options, seed=seed, steps=steps)
            order = Order(pipeline=pipeline, arguments=given, steps=steps, rows=2)
            tickets.append(engine.submit(order))
        return [ticket.future.result(TIMEOUT_S).output.images for ticket in tickets]

    for one, other in zip(plain, driven("shortest", 1, made), strict=True):
        error = (one.float() - other.float()).pow(2).mean().clamp_min(1e-20)
        span = one.float().max() - one.float().min()
        worst = min(worst, float(10 * torch.log10(span**2 / error)))
    return worst


def compiled(pipeline: Any, subject: Subject, options: argparse.Namespace) -> float:
    """How much faster the plain loop is with channels_last and `torch.compile`."""
    before = plainly(pipeline, subject, options, jobs=2)
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.unet.compile_repeated_blocks(fullgraph=True)
    plainly(pipeline, subject, options, jobs=1)
    return before / plainly(pipeline, subject, options, jobs=2)


def _median(work: Callable[[], object], device: str, *, times: int) -> float:
    work()
    _wait(device)
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
