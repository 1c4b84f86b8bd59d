"""Leasing: one owner at a time, and one that lost the job can write nothing any more."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.outcome import Outcome
from jobs.status import ErrorCode, Status
from records.errors import LeaseLost, RecordMissing
from records.finish import cancel, finish
from records.lease import Busy, Ended, Lease, Position, lease, release, start, tick


def take(world, uid, owner, *, at=0):
    """Try to lease `uid` for a minute, `at` ms from now."""
    now = world.now + at
    return lease(world.table, uid, owner=owner, now_ms=now, until_ms=now + 60_000)


def test_a_leased_job_is_starting_and_names_its_owner(world):
    """It waits for a replica; no attempt is counted yet."""
    held = world.leased()
    record = world.record(held.uid)
    assert (record.status, record.lease_owner) == (Status.STARTING, held.owner)
    assert (record.lease_until, record.leased_at) == (world.now + 60_000, world.now)
    assert record.attempt == held.attempt == 0


def test_a_second_receiver_is_told_until_when_the_job_is_taken(world):
    """It can release its message until then."""
    held = world.leased()
    assert take(world, held.uid, "second") == Busy(until_ms=world.now + 60_000)
    assert world.record(held.uid).lease_owner == held.owner


@pytest.mark.parametrize("running", [False, True])
def test_a_lease_is_taken_over_only_after_it_ran_out(world, running):
    """Up to its last millisecond it is the first owner's, whether or not Serve has the job."""
    held = world.running() if running else world.leased()
    assert isinstance(take(world, held.uid, "second", at=60_000), Busy)
    taken = take(world, held.uid, "second", at=60_001)
    assert taken == Lease(uid=held.uid, owner="second", attempt=int(running))
    assert world.record(held.uid).status is Status.STARTING


def test_of_many_receivers_at_once_one_gets_the_job(racing_world):
    """Eight threads with the same message: one works, seven wait."""
    job = racing_world.queued()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: take(racing_world, job.uid, f"bridge-{n}"), range(8)))
    assert sum(isinstance(answer, Lease) for answer in answers) == 1
    assert sum(isinstance(answer, Busy) for answer in answers) == 7


def test_an_owner_whose_answer_was_lost_recognises_its_own_lease(world):
    """The call is repeated with the same name and gives the same lease, not Busy."""
    job = world.queued()
    first = take(world, job.uid, "bridge-1")
    assert take(world, job.uid, "bridge-1", at=1) == first


def test_a_job_that_has_ended_cannot_be_leased(world):
    """A duplicate of its message finds the record and what to announce."""
    job = world.queued()
    done = cancel(world.table, job.uid, nonce="n", now_ms=world.now)
    assert take(world, job.uid, "late") == Ended(record=done.record)


def test_a_job_without_a_record_cannot_be_leased(world):
    """The receiver must accept it first; no stump of a record is made."""
    job = world.job()
    with pytest.raises(RecordMissing):
        take(world, job.uid, "early")
    assert world.table.get(f"job#{job.uid}") is None


def test_attempts_are_counted_when_serve_accepts_the_job(world):
    """Neither a lease nor a release is an attempt."""
    job = world.queued()
    for attempt in range(1, 4):
        release(world.table, world.lease(job))
        held = start(world.table, world.lease(job), now_ms=world.now, until_ms=world.now + 1)
        assert held.attempt == world.record(job.uid).attempt == attempt
        assert world.record(job.uid).status is Status.PROCESSING
        release(world.table, held)


def test_a_start_whose_answer_was_lost_counts_once(world):
    """The repeated call finds the attempt counted and goes on with it."""
    held = world.leased()
    first = start(world.table, held, now_ms=world.now, until_ms=world.now + 60_000)
    again = start(world.table, held, now_ms=world.now, until_ms=world.now + 60_000)
    assert first == again
    assert world.record(held.uid).attempt == 1


def test_a_released_job_is_queued_and_free_at_once(world):
    """What the first owner showed of its progress is gone with it."""
    held = world.running()
    tick(world.table, held, Position(stage="denoise", step=3, total=4), until_ms=world.now + 9)
    release(world.table, held)
    record = world.record(held.uid)
    assert (record.status, record.lease_owner, record.lease_until) == (Status.QUEUED, None, 0)
    assert (record.stage, record.step, record.total, record.stages) == (None, 0, 0, {})
    assert isinstance(take(world, held.uid, "next"), Lease)


def test_a_tick_records_the_position_and_keeps_the_lease(world):
    """One write for both; the present is readable by everybody."""
    held = world.running()
    position = Position(stage="denoise", step=3, total=20, stages={"encode": 1, "denoise": 2})
    assert tick(world.table, held, position, until_ms=world.now + 90_000) is False
    record = world.record(held.uid)
    assert (record.stage, record.step, record.total) == ("denoise", 3, 20)
    assert record.stages == {"encode": 1, "denoise": 2}
    assert isinstance(take(world, held.uid, "second", at=89_999), Busy)


def test_a_tick_returns_that_the_client_wants_to_cancel(world):
    """The owner learns it from the write that it makes anyway."""
    held = world.running()
    cancel(world.table, held.uid, nonce="n", now_ms=world.now)
    assert tick(world.table, held, Position(step=1), until_ms=world.now + 90_000) is True


def test_a_wish_to_cancel_outlives_its_owner(world):
    """Whoever takes the job over is told with the lease."""
    held = world.running()
    cancel(world.table, held.uid, nonce="n", now_ms=world.now)
    release(world.table, held)
    assert take(world, held.uid, "next").cancel_requested


def stale_by_takeover(world):
    """An owner whose lease ran out, and the record as the new owner has it."""
    held = world.running()
    take(world, held.uid, "second", at=60_001)
    return held


def stale_by_release(world):
    """An owner that gave the job back itself."""
    held = world.running()
    release(world.table, held)
    return held


def stale_by_end(world):
    """An owner of a job that has ended."""
    held = world.running()
    finish(world.table, held.uid, Outcome.canceled(), by=held, nonce="n", now_ms=world.now)
    return held


@pytest.mark.parametrize("stale", [stale_by_takeover, stale_by_release, stale_by_end])
def test_a_stale_owner_cannot_write(world, stale):
    """It can neither tick, start nor release, and nothing of the record changes."""
    held = stale(world)
    before = world.record(held.uid)
    with pytest.raises(LeaseLost):
        tick(world.table, held, Position(step=9), until_ms=world.now + 90_000)
    with pytest.raises(LeaseLost):
        start(world.table, held, now_ms=world.now, until_ms=world.now + 90_000)
    release(world.table, held)
    assert world.record(held.uid) == before


@pytest.mark.parametrize("stale", [stale_by_takeover, stale_by_release])
def test_a_stale_owner_cannot_end_the_job(world, stale):
    """Its images are late; the job is somebody else's."""
    held = stale(world)
    before = world.record(held.uid)
    outcome = Outcome.failed(ErrorCode.INTERNAL, "late")
    with pytest.raises(LeaseLost):
        finish(world.table, held.uid, outcome, by=held, nonce="late", now_ms=world.now)
    assert world.record(held.uid) == before


def test_the_attempt_alone_fences_an_owner_of_the_same_name(world):
    """A lease of an earlier attempt cannot write, even under a name that came again."""
    held = world.leased()
    started = start(world.table, held, now_ms=world.now, until_ms=world.now + 60_000)
    with pytest.raises(LeaseLost):
        tick(world.table, held, Position(step=1), until_ms=world.now + 90_000)
    assert tick(world.table, started, Position(step=1), until_ms=world.now + 90_000) is False


def test_a_release_tells_the_next_owner_what_it_has_to_know(world):
    """That it needs the device alone, and how often its message came back from the dead."""
    job = world.queued()
    held = world.lease(job)
    assert (held.alone, held.trips) == (False, 0)
    release(world.table, held, alone=True)
    held = world.lease(job)
    assert (held.alone, held.trips) == (True, 0)
    release(world.table, held, trip=True)
    held = world.lease(job)
    assert (held.alone, held.trips) == (True, 1)
