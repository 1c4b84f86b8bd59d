"""Jobs that come at once, through the whole local stack: the engine against one after the other.

    python bench/burst.py [--jobs 64] [--pairs 3]

Q is what a queue agent does, one job after the other (policy fifo); with a window of 2 it even
reads one job's message while it paints another, which flatters it. Both have one replica with one
core, warm, and the same jobs. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

# Run as a script, Python looks beside it only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from client.client import Client
from darkroom.stack import ROOT, Stack, StackOptions
from jobs.samples import sample_request
from jobs.status import Status

_PATIENCE_S = 900
_STEPS = 20


def burst_s(environ: dict[str, str], jobs: int) -> float:
    """Seconds from the first job's acceptance to the last one's end."""
    options = StackOptions(ui=False, environ=environ)
    with Stack.running(options) as stack, Client(stack.api_url, api_key=stack.api_key) as client:
        client.wait(client.submit(_request(0)).uid, timeout_s=_PATIENCE_S)  # the replica is up
        with ThreadPoolExecutor(16) as pool:
            uids = [view.uid for view in pool.map(client.submit, map(_request, range(1, jobs + 1)))]
        views = [client.wait(uid, timeout_s=_PATIENCE_S) for uid in uids]
    assert {view.status for view in views} == {Status.SUCCEEDED}
    first = min(view.times.accepted for view in views)
    last = max(view.times.recorded for view in views if view.times.recorded is not None)
    return (last - first).total_seconds()


def _request(seed: int) -> dict[str, object]:
    return sample_request(num_inference_steps=_STEPS, seed=seed)


def one_at_a_time(folder: Path) -> dict[str, str]:
    """The variables of Q, with the smallest window that a runtimes.yaml may name."""
    catalogue = yaml.safe_load((ROOT / "runtimes.yaml").read_text())
    for runtime in catalogue["runtimes"].values():
        runtime["replicas"]["admit_window"] = 2
    path = folder / "runtimes.yaml"
    path.write_text(yaml.safe_dump(catalogue))
    return {"DARKROOM_POLICY": "fifo", "DARKROOM_RUNTIMES": str(path)}


def main() -> None:
    """Measure in interleaved pairs and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    ratios, own, theirs = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        serially = one_at_a_time(Path(folder))
        for _ in range(given.pairs):
            theirs.append(burst_s(serially, given.jobs))
            own.append(burst_s({}, given.jobs))
            ratios.append(theirs[-1] / own[-1])
            print(f"Q {theirs[-1]:6.1f} s   engine {own[-1]:6.1f} s   {ratios[-1]:.2f}", flush=True)
    figures = {
        "jobs": given.jobs,
        "steps": _STEPS,
        "q_s": round(statistics.median(theirs), 2),
        "engine_s": round(statistics.median(own), 2),
        "ratio": round(statistics.median(ratios), 3),
        "load_average_1min": os.getloadavg()[0],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
