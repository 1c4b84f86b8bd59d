"""SQS takes messages away, and the worker's own process deals with them."""

import subprocess
import sys
import time

import pytest

from bridge.process import ATTEMPTS
from jobs.job import Job
from jobs.status import Status
from records.aws import SqsQueue
from records.clock import now_ms
from records.lease import Lease, lease, release, start
from records.parked import Parked
from tests.faults.lab import Lab
from tests.faults.site import Site

#: What the queue's redrive policy says.
MAX_RECEIVES = 50


@pytest.fixture(scope="module")
def lab():
    """Nobody works on its queue."""
    with Lab.running() as running:
        yield running


def wear_out(site: Site, count: int) -> None:
    """Receive and release until SQS has taken `count` messages away."""
    dead = SqsQueue(site.lab.client("sqs"), site.lab.cloud.queues["demo"].dead_letters)
    deadline = time.monotonic() + 240
    while dead.depth()[0] < count:
        assert time.monotonic() < deadline
        for delivery in site.queue.receive(limit=10, wait_s=0):
            assert delivery.receive_count <= MAX_RECEIVES
            site.queue.release(delivery)


def spend(site: Site, job: Job) -> None:
    """Use up the attempts of a job."""
    for number in range(ATTEMPTS):
        now = now_ms()
        held = lease(site.table, job.uid, owner=f"o{number}", now_ms=now, until_ms=now + 1000)
        assert isinstance(held, Lease)
        release(site.table, start(site.table, held, now_ms=now, until_ms=now + 1000))


def work(lab: Lab) -> None:
    """The worker, once."""
    environ = lab.environ()
    done = subprocess.run(
        [sys.executable, "-m", "bridge.dead_letters"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_one_goes_back_one_fails_and_one_is_put_aside(lab):
    """After fifty receipts each, which cost no attempt."""
    site = Site.of(lab)
    fresh, spent = site.accepted(), site.accepted()
    spend(site, spent)
    for job in (fresh, spent):
        site.send(job)
    site.queue.send("not a job")
    wear_out(site, 3)
    work(lab)

    [back] = site.queue.receive(limit=10, wait_s=1)
    assert fresh.uid in back.body
    assert site.record(fresh.uid).status is Status.QUEUED
    site.queue.delete(back)
    record = site.record(spent.uid)
    assert (record.status, record.outcome.error.code) == (Status.FAILED, "dead_lettered")
    assert record.notified_at is not None
    queue = SqsQueue(lab.client("sqs"), lab.cloud.queues["demo"].parked)
    parked = [Parked.of(each) for each in queue.receive(limit=10, wait_s=1)]
    assert {each.uid for each in parked} == {spent.uid, None}
    assert all(each.reason for each in parked)
