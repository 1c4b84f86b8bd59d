"""Two picture sizes that cannot share a forward, at equal load: does one wait longer for it?"""

import statistics
from collections.abc import Sequence
from random import Random
from typing import Any

from bench.arrivals import Arrival, replay
from bench.workload import Load, driven, plainly
from serve_app.engine.engine import Engine

#: Latent sides; a picture of the second has four times as many pixels.
SIDES = (8, 16)
STEPS = 20
#: Of what a plain loop over `pipe()` could do, offered by each size.
LOAD = 0.45


def slowdowns(pipeline: Any, *, jobs: int, seed: int, threads: int) -> dict[int, float]:
    """By latent side: mean seconds from arrival to end, over the seconds that a job takes alone.

    `jobs` is how many of the larger size come; of the smaller as many more as it is faster.
    """
    alone = {side: _alone(pipeline, side) for side in SIDES}
    span = jobs * max(alone.values()) / LOAD
    arrivals = sorted(
        (arrival for side in SIDES for arrival in _trace(side, alone[side], span, seed)),
        key=lambda arrival: arrival.at,
    )
    spent = driven("shortest", threads, lambda engine: _run(engine, pipeline, arrivals))
    return {side: statistics.mean(spent[side]) / alone[side] for side in SIDES}


def _alone(pipeline: Any, side: int) -> float:
    load = Load(steps=STEPS, latent_side=side, seed=0)
    plainly(pipeline, [load])
    return statistics.median(plainly(pipeline, [load]) for _ in range(5))


def _trace(side: int, alone: float, span: float, seed: int) -> list[Arrival]:
    """Poisson arrivals for `span` seconds."""
    rng = Random(f"{seed} {side}")
    made: list[Arrival] = []
    now = rng.expovariate(LOAD / alone)
    while now < span:
        load = Load(steps=STEPS, latent_side=side, seed=len(made))
        made.append(Arrival(at=now, load=load))
        now += rng.expovariate(LOAD / alone)
    return made


def _run(engine: Engine, pipeline: Any, arrivals: Sequence[Arrival]) -> dict[int, list[float]]:
    spent: dict[int, list[float]] = {side: [] for side in SIDES}
    for load, seconds in replay(engine, pipeline, arrivals):
        spent[load.latent_side].append(seconds)
    return spent
