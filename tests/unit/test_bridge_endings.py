"""How jobs end before their time, and how the bridge stops in the middle of one."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from bridge_bench import Bench, message

from bridge.scripted import Hold, success
from bridge.verdict import Done, Release, Verdict
from jobs.status import ErrorCode, Status
from jobs.stream import Accepted, Progress
from records.clock import now_ms
from records.errors import Unavailable
from records.finish import cancel
from records.lease import lease
from records.record import Record
from records.table import Change


class TestEnding:
    def test_a_job_canceled_before_it_was_leased_is_not_generated(self, bench, make_job):
        """Canceled while it was going back to the queue: the next owner sees the flag."""
        at, job = bench(), make_job()
        at.accept(job)
        now = now_ms()
        lease(at.table, job.uid, owner="gone", now_ms=now - 60_000, until_ms=now - 30_000)
        cancel(at.table, job.uid, nonce="n", now_ms=now)

        assert at.process(message(job)) == Done()
        assert at.record(job.uid).status is Status.CANCELED
        assert at.serve.posted == []
        assert len(at.notices.published) == 1

    def test_canceling_a_running_job_closes_its_stream(self, bench, make_job, fast_ticks):
        """The record's flag reaches the owner with the next tick."""
        at, job = bench([Accepted(replica="r"), Hold()]), make_job()
        at.accept(job)

        verdict = at.process(
            message(job), meanwhile=lambda: cancel(at.table, job.uid, nonce="n", now_ms=now_ms())
        )

        assert verdict == Done()
        assert at.record(job.uid).status is Status.CANCELED
        assert at.serve.closed_early == 1
        assert at.notices.bodies()[0]["status"] == "failed"

    def test_a_job_past_its_deadline_expires(self, bench, make_job):
        """It is told so instead of being generated for nobody."""
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        at, job = bench(), make_job(deadline=past)
        at.accept(job)

        assert at.process(message(job)) == Done()
        record = at.record(job.uid)
        assert record.status is Status.EXPIRED
        assert record.outcome is not None
        assert record.outcome.error is not None
        assert record.outcome.error.code is ErrorCode.DEADLINE_EXCEEDED

    def test_told_to_stop_it_gives_the_job_back_at_once(self, bench, make_job):
        """The stream is closed, the record queued, the message visible without delay."""
        at, job = bench([Accepted(replica="r"), Hold()], success()), make_job()
        at.accept(job)

        verdict = asyncio.run(at.processing(message(job), stop=True))

        assert verdict == Release(delay_s=0, reason="stopping")
        assert at.serve.closed_early == 1
        assert at.record(job.uid).status is Status.QUEUED
        assert at.process(message(job)) == Done()

    def test_ticks_record_position_and_stages(self, bench, make_job, fast_ticks):
        """What a client sees while the job runs."""
        at, job = bench(), make_job()
        at.accept(job)
        at.serve.scripts = [
            [Accepted(replica="r"), Progress(stage="denoise", step=3, total=9), Hold()]
        ]
        seen: list[Record] = []

        async def look() -> None:
            task = asyncio.create_task(at.processing(message(job)))
            while not (seen and seen[-1].step == 3):
                seen.append(at.record(job.uid))
                await asyncio.sleep(0.005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(look())
        assert seen[-1].stage == "denoise"
        assert seen[-1].total == 9
        assert "denoise" in seen[-1].stages
        assert seen[-1].status is Status.PROCESSING


class Pause:
    """Holds the first call that `matches` in its thread until it is let go."""

    def __init__(self, target: object, name: str, matches: Callable[..., bool]) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        original = getattr(target, name)

        def paused(*args: object, **kwargs: object) -> object:
            if not self.reached.is_set() and matches(*args, **kwargs):
                self.reached.set()
                assert self.go.wait(10)
            return original(*args, **kwargs)

        setattr(target, name, paused)


def sets(status: Status) -> Callable[..., bool]:
    """Matches the write that brings a record into `status`."""
    return lambda key, change: change.set.get("status") == status.value


class TestStoppedInTheMiddle:
    """Told to stop while a thread writes: a thread cannot be stopped, so its end is awaited."""

    def stopped(self, at: Bench, body: str, pause: Pause) -> Verdict:
        async def scenario() -> Verdict:
            task = asyncio.create_task(at.processing(body))
            await asyncio.to_thread(pause.reached.wait, 10)
            task.cancel()
            await asyncio.sleep(0.02)
            assert not task.done()
            pause.go.set()
            return await task

        return asyncio.run(scenario())

    @pytest.mark.parametrize("status", [Status.STARTING, Status.PROCESSING])
    def test_while_it_leases_or_starts_the_record_is_given_back(self, bench, make_job, status):
        """With the fencing token as it is after the write, so that the next owner can begin."""
        at, job = bench([Accepted(replica="r"), Hold()], success()), make_job()
        at.accept(job)
        pause = Pause(at.table, "update", sets(status))

        verdict = self.stopped(at, message(job), pause)

        assert verdict == Release(delay_s=0, reason="stopping")
        record = at.record(job.uid)
        assert record.status is Status.QUEUED
        assert record.lease_owner is None
        at.serve.scripts = [success()]
        assert at.process(message(job)) == Done()

    @pytest.mark.parametrize(
        ("part", "call", "matches"),
        [
            ("store", "put", lambda key, *_, **__: key.endswith(".out")),
            ("table", "update", sets(Status.SUCCEEDED)),
            ("notices", "publish", lambda *_: True),
        ],
        ids=["document", "record", "notice"],
    )
    def test_while_it_commits_the_commit_is_finished(self, bench, make_job, part, call, matches):
        """The GPU's work is not thrown away; the next delivery only deletes the message."""
        at, job = bench(), make_job()
        at.accept(job)
        pause = Pause(getattr(at, part), call, matches)

        self.stopped(at, message(job), pause)

        assert at.record(job.uid).status is Status.SUCCEEDED
        assert at.record(job.uid).notified_at is not None
        assert at.process(message(job)) == Done()
        assert len(at.serve.posted) == 1
        assert len(at.notices.published) == 1

    def test_while_the_table_is_down_the_message_is_given_back_all_the_same(self, bench, make_job):
        """The record's lease runs out by itself."""
        at, job = bench([Accepted(replica="r"), Hold()]), make_job()
        at.accept(job)
        update = at.table.update

        def down(key: str, change: Change) -> object:
            if change.set.get("status") == Status.QUEUED.value:
                raise Unavailable("injected")
            return update(key, change)

        at.table.update = down
        assert asyncio.run(at.processing(message(job), stop=True)) == Release(
            delay_s=0, reason="stopping"
        )

    def test_canceled_while_it_starts_the_job_ends_canceled(self, bench, make_job, fast_ticks):
        """The tick that brings the flag waits for the start; both know the same attempt."""
        at, job = bench([Accepted(replica="r"), Hold()]), make_job()
        at.accept(job)
        pause = Pause(at.table, "update", sets(Status.PROCESSING))

        async def scenario() -> Verdict:
            task = asyncio.create_task(at.processing(message(job)))
            await asyncio.to_thread(pause.reached.wait, 10)
            cancel(at.table, job.uid, nonce="n", now_ms=now_ms())
            await asyncio.sleep(0.05)
            pause.go.set()
            return await task

        assert asyncio.run(scenario()) == Done()
        assert at.record(job.uid).status is Status.CANCELED
