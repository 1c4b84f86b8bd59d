"""Ending: the terminal state is written once, whoever races for it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.errors import IllegalTransition
from jobs.outcome import Outcome
from jobs.status import EDGES, TERMINAL, ErrorCode, Status
from records.errors import LeaseLost, RecordMissing
from records.finish import cancel, finish

FAILED = Outcome.failed(ErrorCode.OUT_OF_MEMORY, "the model does not fit")


def end(world, held, outcome, nonce="mine", **more):
    """The owner ends its job, ten seconds from now."""
    return finish(
        world.table, held.uid, outcome, by=held, nonce=nonce, now_ms=world.now + 10_000, **more
    )


def test_an_ended_job_says_how_and_when(world):
    """Images, stages and times are in the record; the lease is gone."""
    held = world.running()
    outcome = world.succeeded("a/b-1.png").model_copy(
        update={"warnings": ("prompt was cut",), "timings": {"denoise": 1.25}}
    )
    done = end(world, held, outcome, uploaded_ms=world.now + 9_000, stages={"encode": world.now})
    record = world.record(held.uid)
    assert done.won
    assert done.record == record
    assert (record.status, record.outcome) == (Status.SUCCEEDED, outcome)
    assert (record.uploaded_at, record.terminal_at) == (world.now + 9_000, world.now + 10_000)
    assert record.stages == {"encode": world.now}
    assert record.lease_owner is None


def test_an_ended_job_waits_to_be_announced_and_for_nothing_else(world):
    """It is in the index of the unannounced only."""
    held = world.running()
    assert world.index("due") == world.index("unpublished") == [held.uid]
    end(world, held, FAILED)
    assert world.index("unannounced") == [held.uid]
    assert world.index("due") == world.index("unpublished") == []


def test_the_first_end_wins(world):
    """A second outcome is not written; its writer sees the first."""
    held = world.running()
    first = end(world, held, FAILED, nonce="first")
    second = end(world, held, world.succeeded("a.png"), nonce="second")
    assert (first.won, second.won) == (True, False)
    assert second.record == world.record(held.uid) == first.record


def test_an_end_whose_answer_was_lost_is_recognised_by_its_nonce(world):
    """The repeated call is told that it won, because the first one did."""
    held = world.running()
    assert end(world, held, FAILED, nonce="mine").won
    again = end(world, held, FAILED, nonce="mine")
    assert again.won
    assert again.record == world.record(held.uid)


def test_of_many_ends_at_once_one_wins(racing_world):
    """Eight writers of the same owner, each with its own nonce."""
    held = racing_world.running()
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: end(racing_world, held, FAILED, nonce=f"n{n}"), range(8)))
    assert sum(each.won for each in done) == 1
    assert {each.record.nonce for each in done} == {racing_world.record(held.uid).nonce}


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_only_legal_edges_lead_to_an_end(world, status):
    """A job ends as `status` from where the table of edges says so, and else it stays."""
    leased, running = world.leased(), world.running()
    states = {
        Status.QUEUED: (world.queued(), None),
        Status.STARTING: (leased, leased),
        Status.PROCESSING: (running, running),
    }
    for source, (job, by) in states.items():
        arguments = {"by": by, "nonce": "n", "now_ms": world.now}
        if status in EDGES[source]:
            assert finish(world.table, job.uid, Outcome(status=status), **arguments).won
            assert world.record(job.uid).status is status
        else:
            with pytest.raises((LeaseLost, IllegalTransition)):
                finish(world.table, job.uid, Outcome(status=status), **arguments)
            assert world.record(job.uid).status is source


def test_a_job_with_an_owner_is_not_ended_by_others(world):
    """Without a lease only a queued job can be ended."""
    held = world.running()
    with pytest.raises(LeaseLost):
        finish(world.table, held.uid, FAILED, by=None, nonce="n", now_ms=world.now)


def test_a_job_without_a_record_cannot_be_ended(world):
    """No stump of a record is made."""
    job = world.job()
    with pytest.raises(RecordMissing):
        finish(world.table, job.uid, FAILED, by=None, nonce="n", now_ms=world.now)
    assert world.table.get(f"job#{job.uid}") is None


def test_a_queued_job_is_canceled_at_once(world):
    """Nobody has it, so nobody needs to be asked."""
    job = world.queued()
    done = cancel(world.table, job.uid, nonce="n", now_ms=world.now)
    assert done.won
    assert world.record(job.uid).status is Status.CANCELED


@pytest.mark.parametrize("running", [False, True])
def test_a_job_with_an_owner_is_asked_to_stop(world, running):
    """The flag is set; status and lease stay as they are until the owner ends it."""
    held = world.running() if running else world.leased()
    before = world.record(held.uid)
    done = cancel(world.table, held.uid, nonce="n", now_ms=world.now)
    record = world.record(held.uid)
    assert not done.won
    assert record.cancel_requested
    assert (record.status, record.lease_until) == (before.status, before.lease_until)


def test_a_cancel_that_comes_before_the_completion_wins(world):
    """Both write to the same item under a condition; the first decides."""
    held = world.running()
    cancel(world.table, held.uid, nonce="c", now_ms=world.now)
    done = end(world, held, world.succeeded("a-1.png"), nonce="n")
    assert done.won
    record = world.record(held.uid)
    assert (record.status, record.outcome.outputs) == (Status.CANCELED, ())


def test_a_completion_that_comes_before_the_cancel_wins(world):
    """The client learns that it was too late."""
    held = world.running()
    assert end(world, held, world.succeeded("a-1.png"), nonce="n").won
    done = cancel(world.table, held.uid, nonce="c", now_ms=world.now)
    assert not done.won
    assert world.record(held.uid).status is Status.SUCCEEDED
    assert not world.record(held.uid).cancel_requested


def test_cancel_and_completion_at_once_end_the_job_in_one_way(racing_world):
    """Twenty races: whoever was first, the record and both callers say the same."""
    for number in range(20):
        held = racing_world.running()
        outcome = racing_world.succeeded(f"{number}-1.png")
        with ThreadPoolExecutor(2) as pool:
            ended = pool.submit(end, racing_world, held, outcome, nonce="n")
            canceled = pool.submit(
                cancel, racing_world.table, held.uid, nonce="c", now_ms=racing_world.now
            )
        record = racing_world.record(held.uid)
        assert ended.result().won
        assert ended.result().record == record
        asked = canceled.result().record
        first = Status.CANCELED if asked.cancel_requested else Status.SUCCEEDED
        assert record.status is first


def test_canceling_a_job_that_has_ended_leaves_it_as_it_is(world):
    """A success stays a success."""
    held = world.running()
    end(world, held, world.succeeded("a.png"))
    before = world.record(held.uid)
    done = cancel(world.table, held.uid, nonce="n", now_ms=world.now)
    assert not done.won
    assert world.record(held.uid) == done.record == before


def test_a_cancel_whose_answer_was_lost_is_recognised_by_its_nonce(world):
    """The repeated call has won, so its caller announces."""
    job = world.queued()
    assert cancel(world.table, job.uid, nonce="mine", now_ms=world.now).won
    assert cancel(world.table, job.uid, nonce="mine", now_ms=world.now).won
    assert not cancel(world.table, job.uid, nonce="other", now_ms=world.now).won


def test_cancel_and_lease_of_a_queued_job_give_one_of_two_results(racing_world):
    """Either it is canceled and nobody has it, or the owner has it and knows."""
    for _ in range(5):
        job = racing_world.queued()
        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(
                cancel, racing_world.table, job.uid, nonce="n", now_ms=racing_world.now
            )
            try:
                racing_world.lease(job)
                leased = True
            except AssertionError:
                leased = False
        record = racing_world.record(job.uid)
        assert asked.result().won is not leased
        assert record.status is (Status.STARTING if leased else Status.CANCELED)
        assert record.cancel_requested is leased


def test_a_race_of_cancel_and_finish_gives_exactly_one_terminal_state(racing_world):
    """A queued job is canceled and expired at once: one of the two, once."""
    for _ in range(5):
        job = racing_world.queued()
        with ThreadPoolExecutor(2) as pool:
            canceled = pool.submit(
                cancel, racing_world.table, job.uid, nonce="a", now_ms=racing_world.now
            )
            expired = pool.submit(
                finish,
                racing_world.table,
                job.uid,
                Outcome.expired(),
                by=None,
                nonce="b",
                now_ms=racing_world.now,
            )
        winners = [done.result() for done in (canceled, expired) if done.result().won]
        assert len(winners) == 1
        assert racing_world.record(job.uid) == winners[0].record
