"""How a bridge's process stops: finishing what fits, giving back the rest, killed."""

import os
import signal
import time

import pytest

from jobs.status import Status
from records.record import Record
from tests.faults.lab import Lab
from tests.faults.site import Site

#: No measure, only an end to waiting: far beyond what a busy machine needs.
PATIENCE_S = 240
VISIBILITY_S = 60


def wait(site: Site, uid: str, status: Status) -> Record:
    """The record once it is in this state."""
    deadline = time.monotonic() + PATIENCE_S
    while (record := site.record(uid)).status is not status:
        assert time.monotonic() < deadline, record
        time.sleep(0.05)
    return record


@pytest.fixture(scope="module")
def slow():
    """A lab whose jobs take a minute."""
    with Lab.running(visibility_s=VISIBILITY_S, STUB_STEPS="60", STUB_STEP_S="1") as lab:
        yield Site.of(lab)


def test_a_minute_s_job_and_ten_seconds_of_grace(slow):
    """SIGTERM: it goes on for the ten seconds, then the job is another's within one; exit 0."""
    uid = slow.submit()
    bridge = slow.lab.start_bridge(DARKROOM_GRACE_S="10")
    wait(slow, uid, Status.PROCESSING)
    told = time.monotonic()
    os.kill(bridge.pid, signal.SIGTERM)
    released = None
    while bridge.running:
        if released is None and slow.record(uid).status is Status.QUEUED:
            released = time.monotonic()
            [delivery] = slow.queue.receive(limit=1, wait_s=20)
            visible = time.monotonic()
        assert time.monotonic() - told < PATIENCE_S
        time.sleep(0.02)

    assert bridge.stop(grace_s=0) == 0
    assert released is not None
    assert released - told >= 9
    # By the release, and not by the visibility timeout; within a second on an idle machine.
    assert visible - released < VISIBILITY_S / 2
    assert slow.record(uid).attempt == 1
    assert [line["what"] for line in slow.lab.began() if line["uid"] == uid][-1] == "stopped"
    slow.queue.delete(delivery)


def test_a_second_sigterm_releases_and_exits_at_once(slow):
    """Whoever sends it twice is in a hurry."""
    uid = slow.submit()
    bridge = slow.lab.start_bridge(DARKROOM_GRACE_S="3600", DARKROOM_LONG_POLL_S="20")
    wait(slow, uid, Status.PROCESSING)
    drained = slow.lab.log_of("bridge-1").count("draining")
    os.kill(bridge.pid, signal.SIGTERM)
    while slow.lab.log_of("bridge-1").count("draining") == drained:
        assert bridge.running
        time.sleep(0.02)
    told = time.monotonic()
    os.kill(bridge.pid, signal.SIGTERM)
    while bridge.running:
        assert time.monotonic() - told < PATIENCE_S
        time.sleep(0.02)

    assert bridge.stop(grace_s=0) == 0
    # Neither done nor waited for: it takes a minute, and there was an hour of grace.
    assert slow.record(uid).status is Status.QUEUED
    [delivery] = slow.queue.receive(limit=1, wait_s=20)
    slow.queue.delete(delivery)


def test_a_job_whose_bridge_was_killed_completes_elsewhere_after_the_lease():
    """`kill -9` says nothing to anybody: lease and visibility timeout run out."""
    with Lab.running(visibility_s=3, STUB_STEPS="10", STUB_STEP_S="0.2") as lab:
        site = Site.of(lab)
        uid = site.submit()
        lab.start_bridge()
        wait(site, uid, Status.PROCESSING)
        lab.kill("bridge-1")
        lab.start_bridge("bridge-2")
        record = wait(site, uid, Status.SUCCEEDED)
        assert record.attempt == 2
        assert record.lease_owner is None
