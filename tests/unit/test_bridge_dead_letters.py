"""What becomes of messages that SQS has taken away."""

import json
from dataclasses import dataclass, field

import pytest
from bridge_bench import Bench, failing, message

from bridge.dead_letters import TRIPS, DeadLetters
from bridge.endings import Endings
from bridge.process import ATTEMPTS
from bridge.scripted import Refuse, success
from bridge.taker import Taker
from bridge.verdict import Done, Release
from jobs.samples import sample_request
from jobs.status import ErrorCode, Status
from jobs.stream import Accepted, Error
from records.clock import now_ms
from records.errors import Unavailable
from records.finish import cancel
from records.lease import lease, release, start
from records.memory import MemoryQueue
from records.parked import Parked
from records.record import job_key
from records.table import Change


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Morgue:
    """A worker over queues in memory."""

    at: Bench
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.dead, self.jobs, self.parked = (
            MemoryQueue(visibility_s=30, clock=self.clock) for _ in range(3)
        )
        table, store = self.at.table, self.at.store
        self.letters = DeadLetters(
            dead=self.dead,
            jobs=self.jobs,
            parked=self.parked,
            taker=Taker(
                owner="dead-letters",
                runtime="demo",
                catalogue=self.at.catalogue,
                table=table,
                store=store,
                lease_s=30,
                retention_s=1000,
            ),
            endings=Endings(table=table, store=store, notices=self.at.notices),
        )

    def put_aside(self) -> list[Parked]:
        return [Parked.of(each) for each in self.parked.receive(limit=10, wait_s=0)]


@pytest.fixture
def morgue(bench):
    """A worker over a bench."""
    return Morgue(bench(success()))


def use_up(at: Bench, uid: str) -> None:
    """Spend all attempts of a job."""
    for number in range(ATTEMPTS):
        now = now_ms()
        held = lease(at.table, uid, owner=f"o{number}", now_ms=now, until_ms=now + 1000)
        release(at.table, start(at.table, held, now_ms=now, until_ms=now + 1000))


def test_a_job_with_attempts_left_goes_back_to_its_queue(morgue, make_job):
    """Fifty releases are no attempt; then it succeeds."""
    at, job = morgue.at, make_job()
    at.accept(job)
    morgue.dead.send(message(job))

    assert morgue.letters.work() == {"sent_back": 1}
    assert morgue.dead.depth() == (0, 0)
    [back] = morgue.jobs.receive(limit=10, wait_s=0)
    assert at.process(back.body) == Done()
    assert at.record(job.uid).status is Status.SUCCEEDED


def test_a_job_without_attempts_fails_is_announced_and_put_aside(morgue, make_job):
    """Its client is told, and a person can look at the message."""
    at, job = morgue.at, make_job()
    at.accept(job)
    use_up(at, job.uid)
    morgue.dead.send(message(job))

    assert morgue.letters.work() == {"dead_lettered": 1}
    record = at.record(job.uid)
    assert (record.status, record.outcome.error.code) == (Status.FAILED, ErrorCode.DEAD_LETTERED)
    assert at.notices.bodies()[0]["job"]["error"]["code"] == "dead_lettered"
    [parked] = morgue.put_aside()
    assert (parked.uid, parked.reason) == (job.uid, f"gave up after {ATTEMPTS} attempts")
    assert parked.delivery.body == message(job)
    assert morgue.dead.depth() == (0, 0)


def test_a_job_does_not_go_round_for_ever(morgue, make_job):
    """One that never gets as far as an attempt has its trips counted."""
    at, job = morgue.at, make_job()
    at.accept(job)
    at.serve.scripts = [[Refuse(status=503)]]
    morgue.dead.send(message(job))
    for _ in range(TRIPS):
        assert morgue.letters.work() == {"sent_back": 1}
        [back] = morgue.jobs.receive(limit=10, wait_s=0)
        assert isinstance(at.process(back.body), Release)
        morgue.jobs.delete(back)
        morgue.dead.send(back.body)

    assert morgue.letters.work() == {"dead_lettered": 1}
    assert at.record(job.uid).status is Status.FAILED
    assert f"{TRIPS} times" in morgue.put_aside()[0].reason


def test_a_job_that_has_ended_needs_only_its_notice(morgue, make_job):
    """A copy of a message that somebody else has worked off."""
    at, job = morgue.at, make_job()
    at.accept(job)
    with failing(at.notices, "publish"):
        at.process(message(job))
    morgue.dead.send(message(job))

    assert morgue.letters.work() == {"ended": 1}
    assert len(at.notices.published) == 1
    assert morgue.dead.depth() == (0, 0)
    assert morgue.parked.depth() == (0, 0)


def test_a_job_that_somebody_works_on_is_looked_at_again_later(morgue, make_job):
    """Neither sent back nor failed while it runs."""
    at, job = morgue.at, make_job()
    at.accept(job)
    now = now_ms()
    lease(at.table, job.uid, owner="other", now_ms=now, until_ms=now + 20_000)
    morgue.dead.send(message(job))

    assert morgue.letters.work() == {"left": 1}
    assert morgue.dead.depth() == (0, 1)
    morgue.clock.now += 21
    assert morgue.dead.depth() == (1, 0)


def test_a_job_that_its_client_canceled_ends_canceled(morgue, make_job):
    """The flag was set while it was going round."""
    at, job = morgue.at, make_job()
    at.accept(job)
    now = now_ms()
    lease(at.table, job.uid, owner="gone", now_ms=now - 60_000, until_ms=now - 30_000)
    cancel(at.table, job.uid, nonce="n", now_ms=now)
    morgue.dead.send(message(job))

    assert morgue.letters.work() == {"ended": 1}
    assert at.record(job.uid).status is Status.CANCELED
    assert morgue.parked.depth() == (0, 0)


@pytest.mark.parametrize("body", ["", "not json", "{}", '{"job": {"uid": "x"}}'])
def test_what_nobody_can_read_is_put_aside_with_a_reason(morgue, body):
    """And the others are dealt with."""
    morgue.dead.send(body)
    assert morgue.letters.work() == {"parked": 1}
    [parked] = morgue.put_aside()
    assert parked.delivery.body == body
    assert parked.reason
    assert parked.uid is None


def test_a_newer_message_waits_for_a_newer_release(morgue):
    """It is not poison."""
    morgue.dead.send(json.dumps({"schema_version": 2, "uid": "x", "job": {}}))
    assert morgue.letters.work() == {"left": 1}
    assert morgue.dead.depth() == (0, 1)


def test_a_message_without_a_record_goes_back_under_the_uid_that_it_has_here(morgue):
    """Sent straight to the queue, its uid comes from SQS's id, which the next message lacks."""
    morgue.dead.send(json.dumps(sample_request()))
    assert morgue.letters.work() == {"sent_back": 1}
    [back] = morgue.jobs.receive(limit=10, wait_s=0)
    uid = json.loads(back.body)["uid"]
    assert morgue.at.record(uid).status is Status.QUEUED
    assert morgue.at.process(back.body) == Done()
    assert morgue.at.record(uid).status is Status.SUCCEEDED


def test_a_failure_that_was_written_down_keeps_its_own_code(morgue, make_job):
    """The model's answer lies in the bucket; only the table was away."""
    at, job = morgue.at, make_job()
    error = Error(code=ErrorCode.INVALID_INPUT, message="the mask is not a picture")
    at.serve.scripts = [[Accepted(replica="r"), error]]
    at.accept(job)
    dies(at.store, "put", before=False)
    with pytest.raises(Killed):
        at.process(message(job))
    at.table.update(job_key(job.uid), Change(set={"lease_until": 0}))
    morgue.dead.send(message(job))

    assert morgue.letters.work() == {"ended": 1}
    assert at.record(job.uid).outcome.error.code is ErrorCode.INVALID_INPUT


class Killed(BaseException):
    """The process is gone."""


def dies(target: object, name: str, *, before: bool) -> None:
    """Die at the next call of `name`, this once."""
    original = getattr(target, name)

    def deadly(*args: object, **kwargs: object) -> object:
        setattr(target, name, original)
        if not before:
            original(*args, **kwargs)
        raise Killed

    setattr(target, name, deadly)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", ["receive", "release", "send", "delete"])
def test_killed_anywhere_on_the_way_back_nothing_is_lost(morgue, make_job, step, before):
    """The message is deleted last: it is found again, and may be sent twice."""
    at, job = morgue.at, make_job()
    at.accept(job)
    morgue.dead.send(message(job))
    match step:
        case "receive":
            dies(morgue.dead, "receive", before=before)
        case "release":
            dies(at.table, "update", before=before)
        case "send":
            dies(morgue.jobs, "send", before=before)
        case "delete":
            dies(morgue.dead, "delete", before=before)
    with pytest.raises(Killed):
        morgue.letters.work()
    morgue.clock.now += 60
    at.table.update(job_key(job.uid), Change(set={"lease_until": 0}))
    morgue.letters.work()

    assert morgue.dead.depth() == (0, 0)
    bodies = [each.body for each in morgue.jobs.receive(limit=10, wait_s=0)]
    assert bodies
    assert {at.process(body) for body in bodies} == {Done()}
    assert len(at.serve.posted) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("part", "name"),
    [("notices", "publish"), ("parked", "send"), ("dead", "delete"), ("store", "put")],
)
def test_killed_while_it_fails_a_job_the_next_run_finishes_it(morgue, make_job, part, name, before):
    """Failed, announced, put aside: all three, whatever is done twice."""
    at, job = morgue.at, make_job()
    at.accept(job)
    use_up(at, job.uid)
    morgue.dead.send(message(job))
    dies(getattr(at, part, None) or getattr(morgue, part), name, before=before)
    with pytest.raises(Killed):
        morgue.letters.work()
    morgue.clock.now += 60
    if not at.record(job.uid).ended:
        at.table.update(job_key(job.uid), Change(set={"lease_until": 0}))
    morgue.letters.work()

    assert at.record(job.uid).status is Status.FAILED
    assert {notice["job"]["event_id"] for notice in at.notices.bodies()} == {f"{job.uid}:failed"}
    assert {parked.uid for parked in morgue.put_aside()} == {job.uid}
    assert morgue.dead.depth() == (0, 0)


def test_an_outage_leaves_the_message_where_it_is(morgue, make_job):
    """The next run finds it."""
    at, job = morgue.at, make_job()
    at.accept(job)
    morgue.dead.send(message(job))
    with failing(at.table, "update"):
        assert morgue.letters.work() == {"left": 1}
    assert morgue.dead.depth() == (0, 1)
    with pytest.raises(Unavailable), failing(morgue.dead, "receive"):
        morgue.letters.work()
