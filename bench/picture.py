"""The benchmarks' pictures."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.arrivals import MIX, POLICIES, Result
from bench.workload import Load, driven
from serve_app.engine import forward
from serve_app.engine.order import Order

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#994455")
SIZE_INCHES = (9.0, 4.2)
DPI = 110
TIMEOUT_S = 600

#: Steps, and seconds after the start at which each job of the picture comes.
STORY = ((30, 0.0), (20, 0.0), (12, 0.05), (4, 0.2), (25, 0.25), (4, 0.45), (8, 0.5))


def latencies(results: Sequence[Result], path: Path, title: str) -> None:
    """How many jobs were done by when, one line per policy, one panel per number of steps."""
    figure, panels = plt.subplots(1, len(MIX), figsize=SIZE_INCHES, sharey=True)
    for panel, (steps, _) in zip(panels, MIX, strict=True):
        for policy, colour in zip(POLICIES, COLOURS, strict=False):
            values = sorted(v for r in results if r.policy == policy for v in r.latencies[steps])
            shares = [(index + 1) / len(values) for index in range(len(values))]
            panel.step(values, shares, color=colour, label=policy, where="post")
        panel.set_xscale("log")
        # Plain seconds: less than a decade has names at every line otherwise, one over the other.
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_title(f"{steps} steps")
        panel.set_xlabel("seconds from arrival to end")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("share of jobs done")
    panels[0].legend(loc="lower right")
    _save(figure, path, title)


def rows(pipeline: Any, path: Path, *, threads: int) -> None:
    """Time to the right, rows upwards, a colour for each job: who is in which forward."""
    spans: list[tuple[float, float, list[tuple[int, int]]]] = []
    run, jobs = forward.run, _words(pipeline)

    def watched(calls: Any, *, to_rows: int = 0, module: Any = None) -> Any:
        started = time.perf_counter()
        outputs = run(calls, to_rows=to_rows, module=module)
        inside = [(jobs[_spoken(c.arguments["encoder_hidden_states"])], c.rows) for c in calls]
        spans.append((started, time.perf_counter(), inside))
        return outputs

    forward.run = watched
    try:
        driven("shortest", threads, lambda engine: _tell(engine, pipeline))
    finally:
        forward.run = run
    figure, panel = plt.subplots(figsize=SIZE_INCHES)
    start = spans[0][0]
    for began, ended, inside in spans:
        bottom = 0
        for job, height in sorted(inside):
            colour = COLOURS[job % len(COLOURS)]
            corner, width = (began - start, bottom), ended - began
            panel.add_patch(Rectangle(corner, width, height, fc=colour, ec="white", lw=0.6))
            bottom += height
    for job, (steps, _) in enumerate(STORY):
        label = f"job {job + 1}, {steps} steps"
        panel.fill_between([], [], color=COLOURS[job % len(COLOURS)], label=label)
    panel.set_xlim(0, spans[-1][1] - start)
    panel.set_ylim(0, 2 * len(STORY) + 1)
    panel.set_xlabel("seconds")
    panel.set_ylabel("rows of a forward (two a picture)")
    panel.legend(loc="upper right", fontsize="small")
    _save(figure, path, "Jobs join and leave at any step")


def _tell(engine: Any, pipeline: Any) -> None:
    started = time.perf_counter()
    tickets = []
    for index, (steps, at) in enumerate(STORY):
        time.sleep(max(0.0, started + at - time.perf_counter()))
        order = Order(pipeline=pipeline, arguments=_call(pipeline, index), steps=steps, rows=2)
        tickets.append(engine.submit(order))
    for ticket in tickets:
        ticket.future.result(TIMEOUT_S)


def _call(pipeline: Any, job: int) -> dict[str, Any]:
    return Load(steps=STORY[job][0], latent_side=16, seed=job).arguments(pipeline)


def _words(pipeline: Any) -> dict[bytes, int]:
    """Which job it is by its words, which stay the same from step to step."""
    prompts = [_call(pipeline, job)["prompt"] for job in range(len(STORY))]
    with torch.no_grad():
        encoded = [pipeline.encode_prompt(prompt, "cpu", 1, False)[0] for prompt in prompts]
    return {_spoken(words): job for job, words in enumerate(encoded)}


def _spoken(words: Any) -> bytes:
    """With guidance the last row has the prompt."""
    return bytes(words[-1].numpy().tobytes())


def _save(figure: Any, path: Path, title: str) -> None:
    figure.suptitle(title)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
