"""Visibility, heartbeat and lease between real processes: one job, one generation, one end."""

import time

import pytest

from jobs.status import Status
from records.clock import now_ms
from records.finish import cancel
from records.record import Record
from tests.faults.lab import Lab
from tests.faults.site import Site

#: No measure, only an end to waiting.
PATIENCE_S = 240
#: A job of six seconds under a visibility timeout of two.
LONG = {"STUB_STEPS": "6", "STUB_STEP_S": "1"}


def run(lab: Lab, uid: str) -> Record:
    """Two bridges on the queue until the job has ended; its record."""
    site = Site.of(lab)
    for name in ("bridge-1", "bridge-2"):
        weather = {"FAULT_ERRORS": "0"} | (lab.faults or {})
        lab.start_bridge(name, DARKROOM_HEARTBEAT_S="0.5", DARKROOM_LEASE_S="10", **weather)
    deadline = time.monotonic() + PATIENCE_S
    while not (record := site.record(uid)).ended:
        assert time.monotonic() < deadline, record
        time.sleep(0.1)
    return record


def generations(lab: Lab, uid: str) -> int:
    """How often a replica began with the job."""
    return sum(line["what"] == "began" for line in lab.began() if line["uid"] == uid)


@pytest.mark.parametrize("held", ["0", "0.9"], ids=["idle", "gil held in the replica"])
def test_a_job_longer_than_the_visibility_timeout_is_generated_once(held):
    """The heartbeat is in the bridge, whatever the replica's interpreter does."""
    with Lab.running(visibility_s=2, **LONG, STUB_HOLD_GIL_S=held) as lab:
        uid = Site.of(lab).submit()
        record = run(lab, uid)
        assert (record.status, record.attempt) == (Status.SUCCEEDED, 1)
        assert generations(lab, uid) == 1


def test_a_job_that_does_not_fit_is_tried_once_more_and_fails_as_such():
    """Two generations, and the code says why."""
    with Lab.running(STUB_OUT_OF_MEMORY="1") as lab:
        uid = Site.of(lab).submit()
        record = run(lab, uid)
        assert (record.status, record.outcome.error.code) == (Status.FAILED, "out_of_memory")
        assert generations(lab, uid) == 2


def test_a_running_job_that_is_canceled_leaves_the_device():
    """Its stream is closed, which is all that Serve needs to free its rows."""
    with Lab.running(STUB_STEPS="300", STUB_STEP_S="0.2") as lab:
        site = Site.of(lab)
        uid = site.submit()
        lab.start_bridge()
        while site.record(uid).status is not Status.PROCESSING:
            time.sleep(0.05)
        cancel(site.table, uid, nonce="n", now_ms=now_ms())
        while not site.record(uid).ended:
            time.sleep(0.05)
        assert site.record(uid).status is Status.CANCELED
        assert lab.began()[-1]["what"] == "stopped"


def test_without_a_heartbeat_the_lease_still_keeps_it_to_one():
    """SQS refuses every extension: the message comes again and again, and finds the lease."""
    faults = {"FAULT_ERRORS": "1", "FAULT_ONLY": "sqs.ChangeMessageVisibilityBatch"}
    with Lab.running(visibility_s=2, faults=faults, **LONG) as lab:
        uid = Site.of(lab).submit()
        record = run(lab, uid)
        assert (record.status, record.attempt) == (Status.SUCCEEDED, 1)
        assert generations(lab, uid) == 1
        logs = lab.log_of("bridge-1") + lab.log_of("bridge-2")
        assert "another bridge has the job" in logs
