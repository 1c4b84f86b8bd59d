"""From nothing to all nodes in one step and back: Ray's own autoscaler, with KEDA's rules beside.

Real here: Serve, the policy, autoscaler v2 and its nodes' processes, SQS (emulated), bridges. Told
here: KEDA (keda.py), and a generator that paints nothing. Each time is a twentieth of the shipped
one; none is asserted.
"""

import json
import os
from pathlib import Path

import pytest

from jobs.status import Status
from tests.integration.scaling_lab import NODES, ScalingLab
from tests.timetable import timers_of

FACTOR = 20
JOBS = 50
NOTHING = {"depth": 0, "bridges": 0, "replicas": 0, "wanted": 0, "nodes": 0}


def rest(sample):
    """What of a sample has to be nothing while nothing is to do."""
    return {name: sample[name] for name in NOTHING}


# Not in `make test` yet: Ray gives a node 30 s to start, which a busy machine does not keep.
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_burst_brings_all_nodes_in_one_step_and_everything_goes_again(whole):
    """50 jobs at zero: one order of N nodes, every job succeeds, and nothing is left."""
    # `SCALED_BY=serve` shows that Serve's own policy fails here.
    policy = os.environ.get("SCALED_BY", "ours")
    shipped = timers_of(whole, "demo", "demo")
    with ScalingLab.running(shipped, FACTOR, policy=policy) as lab:
        at_rest = lab.until(lambda now: now["nodes"] == 0)
        assert rest(at_rest) == NOTHING
        assert lab.logs.replicas_added() == []

        lab.jobs.submit(JOBS)
        lab.until(lambda now: now["done"] == JOBS)
        assert {record.status for record in lab.jobs.records()} == {Status.SUCCEEDED}
        # Serve wants all at once, so no node waits for the first one to be at work.
        assert lab.logs.replicas_added()[0] == NODES
        assert lab.logs.nodes_ordered(before=lab.generated()[0]["at"]) >= NODES
        assert max(sample["replicas"] for sample in lab.samples) == NODES

        # It stays so: nothing comes back once the last node has gone.
        lab.until(lambda _: [rest(sample) for sample in lab.samples[-3:]] == [NOTHING] * 3)
        if asked := os.environ.get("SCALED_SAMPLES"):
            # For `python -m bench.autoscaling --from`, which draws it.
            Path(asked).write_text(json.dumps(lab.samples))
        # More, if a busy machine let a node fail to start.
        assert lab.logs.nodes_removed() >= NODES
