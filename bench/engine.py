"""Measures the engine against what others do, every figure a ratio within one run.

P is a plain loop over `pipe()`, S whole-request batching of equal requests, Q one message at a
time with its input and output in series, as a queue agent does.

After `pip install -c constraints.txt -e '.[bench]'`, `python -m bench.engine` prints tables, draws
PNGs into --out, and prints as its last line one JSON object.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from bench import arrivals, fairness, picture
from bench.workload import RAGGED, Load, driven, model, plainly, together, under
from serve_app.engine import forward
from serve_app.engine.step_time import MAX_ROWS, StepTime

Figures = dict[str, Any]

#: (latent side, jobs): the small ones gain, the last two must not lose.
THROUGHPUT = ((8, 8), (16, 8), (8, 1), (32, 8))
SCHEDULERS = (
    "EulerDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DDIMScheduler",
    "PNDMScheduler",
    "EulerAncestralDiscreteScheduler",
    "UniPCMultistepScheduler",
    "HeunDiscreteScheduler",
)


def main() -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs of each ratio")
    parser.add_argument("--jobs", type=int, default=600, help="of each trace")
    scenarios = [scenario.name for scenario in arrivals.SCENARIOS]
    parser.add_argument("--scenarios", nargs="*", default=scenarios, choices=scenarios)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    figures: Figures = {
        "torch": torch.__version__,
        "dtype": "float32",
        "threads": options.threads,
        "load_before": os.getloadavg()[0],
    }
    for part in options.parts:
        figures |= PARTS[part](options)
    figures["load_after"] = os.getloadavg()[0]
    (options.out / "engine.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))


def measure_throughput(options: argparse.Namespace) -> Figures:
    """Eight ragged jobs, and one: how much faster than P, median of interleaved pairs."""
    print("| model | latents | jobs | engine / P | of the pairs |\n| --- | --- | --- | --- | --- |")
    figures: Figures = {}
    for name in ("bundled", "second"):
        pipeline = model(name)
        for side, jobs in THROUGHPUT:
            loads = [
                Load(steps=steps, latent_side=side, seed=seed)
                for seed, steps in enumerate(RAGGED[:jobs] if jobs > 1 else (20,))
            ]
            ratios = _pairs(pipeline, loads, options)
            middle = statistics.median(ratios)
            shown = " ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"| {name} | {side}x{side} | {jobs} | {middle:.2f} | {shown} |", flush=True)
            figures[f"throughput_{name}_{side}_jobs_{jobs}_ratio"] = round(middle, 3)
    return figures


def _pairs(pipeline: Any, loads: list[Load], options: argparse.Namespace) -> list[float]:
    def ours() -> float:
        return driven("shortest", options.threads, lambda engine: together(engine, pipeline, loads))

    ratios = []
    ours()  # kernels are chosen
    plainly(pipeline, loads[:1])
    # A single job is over in a second, within which a shared machine may do anything.
    for turn in range(options.pairs * (4 if len(loads) == 1 else 1)):
        if turn % 2:
            plain, own = plainly(pipeline, loads), ours()
        else:
            own, plain = ours(), plainly(pipeline, loads)
        ratios.append(plain / own)
    return ratios


def measure_overhead(options: argparse.Namespace) -> Figures:
    """What a tick costs beside its forward, by rows and scheduler."""
    print("| scheduler | rows | forward, ms | beside it, ms | share |")
    print("| --- | --- | --- | --- | --- |")
    figures: Figures = {}
    for scheduler in SCHEDULERS:
        pipeline = under(model("bundled"), scheduler)
        for rows in (8, 32):
            inner, beside = _tick(pipeline, rows // 2, options.threads)
            print(
                f"| {scheduler} | {rows} | {1e3 * inner:.2f} | {1e3 * beside:.2f} "
                f"| {100 * beside / inner:.1f} % |",
                flush=True,
            )
            figures[f"overhead_{scheduler}_{rows}_rows_ms"] = round(1e3 * beside, 3)
            figures[f"overhead_{scheduler}_{rows}_rows_share"] = round(beside / inner, 4)
    return figures


def _tick(pipeline: Any, jobs: int, threads: int) -> tuple[float, float]:
    """Median seconds of the forward, and of the rest, over ticks that all jobs share."""
    spans: list[tuple[float, float]] = []
    run, allows = forward.run, StepTime.allows

    def timed(calls: Any, *, to_rows: int = 0, module: Any = None) -> Any:
        started = time.perf_counter()
        outputs = run(calls, to_rows=to_rows, module=module)
        if len(calls) == jobs:
            spans.append((started, time.perf_counter()))
        return outputs

    loads = [Load(steps=30, latent_side=16, seed=seed) for seed in range(jobs)]
    try:
        forward.run = timed
        StepTime.allows = lambda _, rows, more: rows + more <= MAX_ROWS  # type: ignore[method-assign]
        # The first job of a configuration has its steps' weights worked out for all later ones.
        driven(
            "shortest",
            threads,
            lambda engine: [together(engine, pipeline, some) for some in (loads[:1], loads)],
        )
    finally:
        forward.run, StepTime.allows = run, allows  # type: ignore[method-assign]
    inner = [end - start for start, end in spans[2:]]
    gaps = [later[0] - sooner[1] for sooner, later in pairwise(spans[2:])]
    return statistics.median(inner), statistics.median(gaps)


def measure_traces(options: argparse.Namespace) -> Figures:
    """Jobs of 4, 20 and 50 steps arriving at random: how long each kind waits under each policy."""
    pipeline = model("light")
    figures: Figures = {}
    for scenario in arrivals.SCENARIOS:
        if scenario.name not in options.scenarios:
            continue
        results = arrivals.compare(
            pipeline, scenario, jobs=options.jobs, seeds=options.seeds, threads=options.threads
        )
        figures |= arrivals.report(scenario, results)
        picture.latencies(results, options.out / f"engine-{scenario.name}.png", scenario.title)
    return figures


def measure_fairness(options: argparse.Namespace) -> Figures:
    """Two sizes at equal load: how much longer one waits, in units of its own time alone."""
    pipeline = model("bundled")
    print("| seed | slowdown at 8x8 | at 16x16 | ratio |\n| --- | --- | --- | --- |")
    ratios = []
    for seed in options.seeds:
        found = fairness.slowdowns(
            pipeline, jobs=options.jobs // 10, seed=seed, threads=options.threads
        )
        small, large = (found[side] for side in fairness.SIDES)
        ratios.append(max(small, large) / min(small, large))
        print(f"| {seed} | {small:.2f} | {large:.2f} | {ratios[-1]:.2f} |", flush=True)
    return {"fairness_slowdown_ratio": round(statistics.median(ratios), 3)}


def draw_rows(options: argparse.Namespace) -> Figures:
    """The picture in docs/engine.md, from a real run."""
    picture.rows(model("bundled"), options.out / "engine-rows.png", threads=options.threads)
    return {}


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "throughput": measure_throughput,
    "overhead": measure_overhead,
    "fairness": measure_fairness,
    "traces": measure_traces,
    "rows": draw_rows,
}


if __name__ == "__main__":
    main()
