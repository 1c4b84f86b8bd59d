"""A spot instance is taken away in the middle of a job.

Two real `ray start --block` workers on this machine, as KubeRay's pods run them, with Serve, a
bridge and the queue (emulated). SIGTERM is what the pod gets; no preStop hook stops Ray before.
"""

import os
import signal

import pytest

from jobs.status import Status
from tests.integration.scaling_lab import ScalingLab
from tests.timetable import timers_of

WORKERS = [f"{number:056x}" for number in (0xA1, 0xA2)]
#: Seconds. Long enough for the node to be told in the middle of it.
JOB_S = 20


# Not in `make test` yet: Ray gives a node 30 s to start, which a busy machine does not keep.
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_job_on_a_spot_node_that_is_told_to_go_succeeds_and_is_painted_once(whole):
    """The node drains: the job ends there, and nobody begins it anew."""
    shipped = timers_of(whole, "demo", "demo")
    with ScalingLab.running(shipped, 20, autoscaled=False, job_s=JOB_S) as lab:
        for name in WORKERS:
            lab.start_worker(name)
        lab.jobs.submit(1)
        lab.until(lambda now: lab.generated())

        (begun,) = lab.generated()
        worker = lab.workers[begun["node"]]
        os.kill(worker.pid, signal.SIGTERM)

        lab.until(lambda now: now["done"] == 1)
        (record,) = lab.jobs.records()
        assert (record.status, record.attempt) == (Status.SUCCEEDED, 1)
        assert lab.generated() == [begun]
        lab.until(lambda now: not worker.running)
