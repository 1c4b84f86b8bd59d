"""How a bridge's process stops: finishing what fits, giving back the rest, killed."""

import os
import signal
import time

import pytest

from jobs.job import Job, JobRequest
from jobs.message import Message
from jobs.samples import sample_request
from jobs.status import Status
from jobs.uid import new_uid
from records.accept import accept
from records.aws import S3Store, SqsQueue
from records.clock import now_ms
from records.dynamo import DynamoTable
from records.queue import Queue
from records.record import Record, job_key
from tests.faults.lab import Lab

PATIENCE_S = 60


class Site:
    """A lab with a job queue that the test itself fills."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.table = DynamoTable(lab.client("dynamodb"), lab.cloud.table)
        self.queue: Queue = SqsQueue(lab.client("sqs"), lab.cloud.queues["demo"].jobs)

    def submit(self) -> str:
        """A job in the queue."""
        job = Job(
            uid=(uid := new_uid()),
            id=uid,
            runtime="demo",
            model="tiny",
            input=JobRequest.model_validate(sample_request()).input,
            prefix="default",
            created_at="2026-11-25T00:00:00Z",
        )
        store = S3Store(self.lab.client("s3"), self.lab.cloud.bucket)
        accept(self.table, store, job, fingerprint="f", republish_at=now_ms() + 10**9)
        self.queue.send(Message(uid=uid, job=job).encode())
        return uid

    def record(self, uid: str) -> Record:
        item = self.table.get(job_key(uid))
        assert item is not None
        return Record.from_item(item)

    def wait(self, uid: str, *statuses: Status) -> Record:
        deadline = time.monotonic() + PATIENCE_S
        while (record := self.record(uid)).status not in statuses:
            assert time.monotonic() < deadline, self.lab.log_of("bridge-1")
            time.sleep(0.05)
        return record


@pytest.fixture(scope="module")
def slow():
    """A lab whose jobs take a minute."""
    with Lab.running(visibility_s=30, STUB_STEPS="60", STUB_STEP_S="1") as lab:
        yield Site(lab)


def test_a_minute_s_job_and_ten_seconds_of_grace(slow):
    """SIGTERM: it goes on for the ten seconds, then the job is another's within one; exit 0."""
    uid = slow.submit()
    bridge = slow.lab.start_bridge(DARKROOM_GRACE_S="10")
    slow.wait(uid, Status.PROCESSING)
    told = time.monotonic()
    os.kill(bridge.pid, signal.SIGTERM)
    released = None
    while bridge.running:
        if released is None and slow.record(uid).status is Status.QUEUED:
            released = time.monotonic()
            [delivery] = slow.queue.receive(limit=1, wait_s=1)
            visible = time.monotonic()
        assert time.monotonic() - told < PATIENCE_S
        time.sleep(0.02)

    assert bridge.stop(grace_s=0) == 0
    assert released is not None
    assert released - told >= 9
    assert visible - released < 1.5
    assert slow.record(uid).attempt == 1
    assert [line["what"] for line in slow.lab.began() if line["uid"] == uid][-1] == "stopped"
    slow.queue.delete(delivery)


def test_a_second_sigterm_releases_and_exits_at_once(slow):
    """Whoever sends it twice is in a hurry."""
    uid = slow.submit()
    bridge = slow.lab.start_bridge(DARKROOM_GRACE_S="3600", DARKROOM_LONG_POLL_S="20")
    slow.wait(uid, Status.PROCESSING)
    os.kill(bridge.pid, signal.SIGTERM)
    time.sleep(0.5)
    assert bridge.running
    told = time.monotonic()
    os.kill(bridge.pid, signal.SIGTERM)
    while bridge.running:
        assert time.monotonic() - told < 10
        time.sleep(0.02)

    assert bridge.stop(grace_s=0) == 0
    assert slow.record(uid).status is Status.QUEUED
    [delivery] = slow.queue.receive(limit=1, wait_s=1)
    slow.queue.delete(delivery)


def test_a_job_whose_bridge_was_killed_completes_elsewhere_after_the_lease():
    """`kill -9` says nothing to anybody: lease and visibility timeout run out."""
    with Lab.running(visibility_s=3, STUB_STEPS="10", STUB_STEP_S="0.2") as lab:
        site = Site(lab)
        uid = site.submit()
        lab.start_bridge()
        site.wait(uid, Status.PROCESSING)
        lab.kill("bridge-1")
        lab.start_bridge("bridge-2")
        record = site.wait(uid, Status.SUCCEEDED)
        assert record.attempt == 2
        assert record.lease_owner is None
