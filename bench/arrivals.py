"""Jobs that arrive at random, the same ones for every policy, run through the real engine."""

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any

from bench.workload import TIMEOUT_S, Load, driven, plainly
from serve_app.engine.engine import Engine
from serve_app.engine.order import Order

#: (steps, share): a preview, a usual picture, a careful one.
MIX = ((4, 0.3), (20, 0.4), (50, 0.3))
LATENT_SIDE = 8
#: Under what name the engine knows a policy; Q needs no engine.
ENGINES = {"S": "whole", "engine": "shortest"}
POLICIES = ("Q", *ENGINES)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How full the device is, and how much of a job's time is input and output."""

    name: str
    title: str
    #: Of the measured capacity of `baseline`.
    load: float
    baseline: str
    io_share: float


SCENARIOS = (
    Scenario(
        name="queue", title="0.9 of Q, 30 % input and output", load=0.9, baseline="Q", io_share=0.3
    ),
    Scenario(name="busy", title="0.95 of P", load=0.95, baseline="P", io_share=0.0),
)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A job and when it comes, seconds from the start."""

    at: float
    load: Load


@dataclass(frozen=True, kw_only=True)
class Result:
    """One trace under one policy: seconds from arrival to end, by steps."""

    policy: str
    seed: int
    latencies: dict[int, list[float]]
    utilisation: float

    @property
    def figures(self) -> dict[str, float]:
        """What is compared."""
        everybody = [value for values in self.latencies.values() for value in values]
        return {
            "utilisation": self.utilisation,
            "mean_s": statistics.mean(everybody),
            "p95_s": _p95(everybody),
            "p95_of_4_steps_s": _p95(self.latencies[4]),
        }


def trace(*, jobs: int, rate: float, seed: int) -> list[Arrival]:
    """Poisson arrivals of the mix."""
    rng = Random(seed)
    now, made = 0.0, []
    for index in range(jobs):
        now += rng.expovariate(rate)
        steps = rng.choices([s for s, _ in MIX], [share for _, share in MIX])[0]
        made.append(Arrival(at=now, load=Load(steps=steps, latent_side=LATENT_SIDE, seed=index)))
    return made


def compare(
    pipeline: Any, scenario: Scenario, *, jobs: int, seeds: Sequence[int], threads: int
) -> list[Result]:
    """Every policy on every seed's trace, interleaved."""
    service = service_time(pipeline)
    io = scenario.io_share * service
    rate = scenario.load / (service + io if scenario.baseline == "Q" else service)
    print(f"\n{scenario.title}: {service:.3f} s a job alone, {rate:.3f} jobs a second\n")
    print("| seed | policy | utilisation | mean, s | p95, s | p95 of 4 steps, s |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    results = []
    for seed in seeds:
        arrivals = trace(jobs=jobs, rate=rate, seed=seed)
        for policy in POLICIES:
            if policy == "Q":
                result = _serially(pipeline, arrivals, io=io, seed=seed)
            else:
                result = _engine(
                    pipeline, arrivals, policy=policy, io=io, seed=seed, threads=threads
                )
            results.append(result)
            shown = " | ".join(f"{value:.3f}" for value in result.figures.values())
            print(f"| {seed} | {policy} | {shown} |", flush=True)
    return results


def service_time(pipeline: Any) -> float:
    """Seconds of a job of the mix alone, mean."""
    total = 0.0
    for steps, share in MIX:
        load = Load(steps=steps, latent_side=LATENT_SIDE, seed=0)
        plainly(pipeline, [load])
        total += share * statistics.median(plainly(pipeline, [load]) for _ in range(5))
    return total


def _serially(pipeline: Any, arrivals: Sequence[Arrival], *, io: float, seed: int) -> Result:
    """Q: one message at a time; the device waits while its files are read and written."""
    latencies: dict[int, list[float]] = {steps: [] for steps, _ in MIX}
    start, busy = time.perf_counter(), 0.0
    for arrival in arrivals:
        time.sleep(max(0.0, start + arrival.at - time.perf_counter()))
        busy += plainly(pipeline, [arrival.load])
        time.sleep(io)
        latencies[arrival.load.steps].append(time.perf_counter() - start - arrival.at)
    span = time.perf_counter() - start
    return Result(policy="Q", seed=seed, latencies=latencies, utilisation=busy / span)


def _engine(
    pipeline: Any,
    arrivals: Sequence[Arrival],
    *,
    policy: str,
    io: float,
    seed: int,
    threads: int,
) -> Result:
    """The engine under a policy; input and output go on beside it."""
    latencies: dict[int, list[float]] = {steps: [] for steps, _ in MIX}

    def run(engine: Engine) -> float:
        start = time.perf_counter()
        for load, spent in replay(engine, pipeline, arrivals, io=io):
            latencies[load.steps].append(spent)
        return engine.busy_s / (time.perf_counter() - start)

    utilisation = driven(ENGINES[policy], threads, run)
    return Result(policy=policy, seed=seed, utilisation=utilisation, latencies=latencies)


def replay(
    engine: Engine, pipeline: Any, arrivals: Sequence[Arrival], *, io: float = 0.0
) -> list[tuple[Load, float]]:
    """Order each job when it comes; seconds from its arrival to its end, by load."""
    start = time.perf_counter()

    def job(arrival: Arrival) -> tuple[Load, float]:
        arguments = arrival.load.arguments(pipeline)
        order = Order(pipeline=pipeline, arguments=arguments, steps=arrival.load.steps, rows=2)
        engine.submit(order).future.result(TIMEOUT_S)
        time.sleep(io)
        return arrival.load, time.perf_counter() - start - arrival.at

    with ThreadPoolExecutor(64) as clients:
        jobs = []
        for arrival in arrivals:
            time.sleep(max(0.0, start + arrival.at - time.perf_counter()))
            jobs.append(clients.submit(job, arrival))
        return [each.result() for each in jobs]


def report(scenario: Scenario, results: Sequence[Result]) -> dict[str, float]:
    """The scenario's figures: medians over the seeds, and what the engine gains in each seed."""
    figures: dict[str, float] = {}
    by_policy = {
        policy: [result.figures for result in results if result.policy == policy]
        for policy in POLICIES
    }
    for policy, own in by_policy.items():
        for name in own[0]:
            middle = statistics.median(seed[name] for seed in own)
            figures[f"trace_{scenario.name}_{policy}_{name}"] = round(middle, 4)
    for policy in ("Q", "S"):
        for name in ("mean_s", "p95_s", "p95_of_4_steps_s"):
            pairs = zip(by_policy[policy], by_policy["engine"], strict=True)
            ratio = statistics.median(theirs[name] / ours[name] for theirs, ours in pairs)
            figures[f"trace_{scenario.name}_{policy}_to_engine_{name}"] = round(ratio, 2)
            print(f"{policy} / engine, {name}: {ratio:.2f}", flush=True)
    return figures


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
