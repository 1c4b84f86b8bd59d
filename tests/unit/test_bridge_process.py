"""What the bridge makes of one message."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from bridge import generation as generation_module
from bridge.process import ATTEMPTS, InHand, Processor
from bridge.scripted import BreakOff, Hold, Refuse, ScriptedServe, Step, success
from bridge.serve_client import ServeClient
from bridge.verdict import Done, Leave, Park, Release, Verdict
from jobs.catalogue import Catalogue
from jobs.job import Job
from jobs.keys import request_key
from jobs.message import Message, Reference
from jobs.samples import sample_request
from jobs.status import ErrorCode, Status
from jobs.stream import Accepted, Canceled, Error, Progress
from records.accept import accept, find
from records.clock import now_ms
from records.errors import Unavailable
from records.finish import cancel
from records.lease import lease
from records.memory import MemoryQueue, MemoryStore, MemoryTable, MemoryTopic
from records.queue import Delivery
from records.record import Record, job_key


@dataclass
class Bench:
    """A processor over fakes, and what it did to them."""

    catalogue: Catalogue
    serve: ScriptedServe
    table: MemoryTable = field(default_factory=MemoryTable)
    store: MemoryStore = field(default_factory=MemoryStore)
    notices: MemoryTopic = field(default_factory=MemoryTopic)

    def accept(self, job: Job) -> None:
        accept(self.table, self.store, job, fingerprint="f", republish_at=now_ms() + 10**9)

    def deliver(self, body: str) -> Delivery:
        queue = MemoryQueue()
        queue.send(body)
        return queue.receive(limit=1, wait_s=0)[0]

    def record(self, uid: str) -> Record:
        item = self.table.get(job_key(uid))
        assert item is not None
        return Record.from_item(item)

    def process(self, body: str, *, meanwhile: Callable[[], None] | None = None) -> Verdict:
        return asyncio.run(self.processing(body, meanwhile))

    async def processing(
        self, body: str, meanwhile: Callable[[], None] | None = None, *, stop: bool = False
    ) -> Verdict:
        async with ServeClient(
            "http://serve/demo", start_timeout_s=5, transport=self.serve
        ) as serve:
            processor = Processor(
                bridge="b",
                runtime="demo",
                catalogue=self.catalogue,
                serve=serve,
                table=self.table,
                store=self.store,
                notices=self.notices,
                lease_s=30,
                attempt_timeout_s=60,
            )
            task = asyncio.create_task(processor.process(self.deliver(body), InHand()))
            if meanwhile is not None or stop:
                while not self.serve.posted:
                    await asyncio.sleep(0)
                # Let the stream's first lines be taken before anything happens to the job.
                await asyncio.sleep(0.05)
            if meanwhile is not None:
                meanwhile()
            if stop:
                task.cancel()
            return await task


@pytest.fixture
def bench(catalogue: Catalogue) -> Callable[..., Bench]:
    """A bench whose Serve follows the given scripts."""

    def make(*scripts: list[Step]) -> Bench:
        return Bench(catalogue=catalogue, serve=ScriptedServe(list(scripts) or [success()]))

    return make


@pytest.fixture
def fast_ticks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ticks in milliseconds: what they do is tested here, not how often."""
    monkeypatch.setattr(generation_module, "_TICK_S", 0.01)
    monkeypatch.setattr(generation_module, "_IDLE_TICK_S", 0.02)
    yield


@contextmanager
def failing(obj: object, name: str) -> Iterator[None]:
    """`obj.name` raises `Unavailable` within the block."""
    original = getattr(obj, name)

    def fail(*_: object, **__: object) -> None:
        raise Unavailable("injected")

    setattr(obj, name, fail)
    try:
        yield
    finally:
        setattr(obj, name, original)


def message(job: Job) -> str:
    return Message(uid=job.uid, job=job).encode()


class TestSuccess:
    def test_a_job_is_generated_uploaded_recorded_announced_and_deleted(self, bench, make_job):
        """The whole way of a job that goes well."""
        at, job = bench(success(images=2)), make_job()
        at.accept(job)

        assert at.process(message(job)) == Done()

        record = at.record(job.uid)
        assert record.status is Status.SUCCEEDED
        assert record.attempt == 1
        assert record.notified_at is not None
        assert record.outcome is not None
        for number, output in enumerate(record.outcome.outputs, start=1):
            assert output.key.startswith(f"default/{job.id}/{job.id}-")
            assert output.key.endswith(f"-{number}.png")
            assert at.store.get(output.key)
        document = json.loads(at.store.get(record.outcome.document_key or ""))
        assert document["input"]["seed"] == job.seed
        (notice,) = at.notices.bodies()
        assert notice["result"] is True
        assert notice["image_url"] == [f"s3://memory/{o.key}" for o in record.outcome.outputs]

    def test_a_message_by_reference_is_read_from_the_bucket(self, bench, make_job):
        """A job too large for a message lies in the bucket."""
        at, job = bench(), make_job()
        at.accept(job)
        at.store.put(request_key(job.uid), job.encode(), media_type="application/json")
        digest = hashlib.sha256(job.encode()).hexdigest()
        reference = Reference(key=request_key(job.uid), sha256=digest)

        assert at.process(Message(uid=job.uid, reference=reference).encode()) == Done()
        assert at.record(job.uid).status is Status.SUCCEEDED

    def test_a_changed_object_is_not_generated_but_ends_the_job(self, bench, make_job):
        """Bytes that are not those referred to are somebody else's."""
        at, job = bench(), make_job()
        at.accept(job)
        at.store.put(request_key(job.uid), b"{}", media_type="application/json")
        reference = Reference(key=request_key(job.uid), sha256="0" * 64)

        assert at.process(Message(uid=job.uid, reference=reference).encode()) == Done()
        assert at.record(job.uid).status is Status.FAILED
        assert at.serve.posted == []
        assert len(at.notices.published) == 1

    def test_a_message_without_a_record_is_accepted_once_for_all_its_deliveries(self, bench):
        """Sent straight to the topic: the uid comes from SNS's message id."""
        at = bench()
        envelope = json.dumps(
            {
                "Type": "Notification",
                "MessageId": "11111111-2222-3333-4444-555555555555",
                "Timestamp": "2026-11-21T03:00:00.000Z",
                "Message": json.dumps(sample_request()),
            }
        )

        assert at.process(envelope) == Done()
        assert at.process(envelope) == Done()

        assert len(at.serve.posted) == 1
        uid = str(at.serve.posted[0]["uid"])
        assert at.record(uid).status is Status.SUCCEEDED
        assert find(at.table, tenant="default", name=uid, family="topic") is not None

    def test_an_id_may_be_used_again_by_those_who_send_past_the_api(self, bench):
        """Nobody could tell them that it is taken: each message is a job."""
        at = bench()
        body = json.dumps({**sample_request(), "id": "again"})

        assert at.process(body) == Done()
        assert at.process(body) == Done()

        assert [posted["id"] for posted in at.serve.posted] == ["again", "again"]
        assert len(at.notices.published) == 2

    def test_a_job_that_has_ended_is_announced_if_need_be_and_not_generated_again(
        self, bench, make_job
    ):
        """A crash between recording and announcing is made good by the next delivery."""
        at, job = bench(), make_job()
        at.accept(job)
        with failing(at.notices, "publish"):
            verdict = at.process(message(job))
        assert isinstance(verdict, Release)
        assert at.record(job.uid).notified_at is None

        assert at.process(message(job)) == Done()
        assert at.process(message(job)) == Done()

        assert len(at.serve.posted) == 1
        assert len(at.notices.published) == 1


class TestDuplicates:
    def test_a_second_delivery_is_released_until_the_first_owner_is_done(self, bench, make_job):
        """Two copies of a message never run side by side."""
        at, job = bench(), make_job()
        at.accept(job)
        now = now_ms()
        lease(at.table, job.uid, owner="other", now_ms=now, until_ms=now + 20_000)

        verdict = at.process(message(job))

        assert isinstance(verdict, Release)
        assert 15 < verdict.delay_s <= 20
        assert at.serve.posted == []

    def test_an_owner_whose_lease_ran_out_leaves_everything_as_it_is(
        self, bench, make_job, fast_ticks
    ):
        """The new owner's record and message are not touched by the old one."""
        hold = Hold()
        at, job = bench([Accepted(replica="r"), hold]), make_job()
        at.accept(job)

        def take_over() -> None:
            later = now_ms() + 3_600_000
            lease(at.table, job.uid, owner="other", now_ms=later, until_ms=later + 30_000)

        assert at.process(message(job), meanwhile=take_over) == Leave()
        record = at.record(job.uid)
        assert record.lease_owner == "other"
        assert record.status is Status.STARTING
        assert at.serve.closed_early == 1


class TestFailure:
    def test_a_deterministic_error_fails_the_job_at_once(self, bench, make_job):
        """What would end the same way is not tried again."""
        error = Error(code=ErrorCode.INVALID_INPUT, message="the mask is not a picture")
        at, job = bench([Accepted(replica="r"), error]), make_job()
        at.accept(job)

        assert at.process(message(job)) == Done()

        record = at.record(job.uid)
        assert record.status is Status.FAILED
        assert record.outcome is not None
        assert record.outcome.error is not None
        assert record.outcome.error.code is ErrorCode.INVALID_INPUT
        (notice,) = at.notices.bodies()
        assert notice["result"] is False
        assert notice["status"] == "failed"
        assert str(notice["output_url"]).endswith(".out")

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_a_job_that_serve_refuses_has_failed(self, bench, make_job, status):
        """A refusal of the job itself, not of the moment."""
        at, job = bench([Refuse(status=status)]), make_job()
        at.accept(job)

        assert at.process(message(job)) == Done()
        assert at.record(job.uid).status is Status.FAILED

    @pytest.mark.parametrize(
        "script",
        [
            [Refuse(status=503)],
            [Refuse(status=500)],
            [Accepted(replica="r"), Progress(stage="denoise", step=1, total=4)],
            [Accepted(replica="r"), BreakOff()],
            [Accepted(replica="r"), Canceled()],
            [
                Accepted(replica="r"),
                Error(code=ErrorCode.OUT_OF_MEMORY, message="", retryable=True),
            ],
        ],
        ids=["503", "500", "no last line", "broken off", "given up", "out of memory"],
    )
    def test_a_failure_of_the_infrastructure_is_another_attempt_later(
        self, bench, make_job, script
    ):
        """The record goes back to the queue, and so does the message; then it succeeds."""
        at, job = bench(script, success()), make_job()
        at.accept(job)

        verdict = at.process(message(job))
        assert isinstance(verdict, Release)
        assert verdict.delay_s > 0
        record = at.record(job.uid)
        assert record.status is Status.QUEUED
        assert record.lease_owner is None

        assert at.process(message(job)) == Done()
        assert at.record(job.uid).status is Status.SUCCEEDED

    def test_only_accepted_attempts_count_towards_the_budget(self, bench, make_job):
        """A hundred releases cost nothing; the fifth attempt that a replica lost ends the job."""
        at, job = bench([Refuse(status=503)]), make_job()
        at.accept(job)
        for _ in range(20):
            assert isinstance(at.process(message(job)), Release)
        assert at.record(job.uid).attempt == 0

        at.serve.scripts = [[Accepted(replica="r"), BreakOff()]]
        for attempt in range(1, ATTEMPTS):
            assert isinstance(at.process(message(job)), Release)
            assert at.record(job.uid).attempt == attempt
        assert at.process(message(job)) == Done()

        record = at.record(job.uid)
        assert record.status is Status.FAILED
        assert record.attempt == ATTEMPTS

    def test_overload_is_waited_out_without_a_release(self, bench, make_job):
        """429 keeps the message here: nobody else could do more with it."""
        at, job = bench([Refuse(status=429, retry_after="0.1")], success()), make_job()
        at.accept(job)

        assert at.process(message(job)) == Done()
        assert len(at.serve.posted) == 2
        assert at.record(job.uid).attempt == 1

    @pytest.mark.parametrize(
        "body", ["", "not json", "[]", "{}", '{"input": {"prompt": ""}}', '{"job": {"uid": "x"}}']
    )
    def test_what_nobody_can_read_is_parked(self, bench, body):
        """One bad message is put aside, whatever it is."""
        assert isinstance(bench().process(body), Park)

    def test_a_job_of_another_runtime_is_parked(self, bench, make_job):
        """Its message has gone astray; here it must neither run nor fail."""
        at, job = bench(), make_job(runtime="other")
        at.accept(job)

        assert isinstance(at.process(message(job)), Park)
        assert at.record(job.uid).status is Status.QUEUED

    def test_a_model_that_serve_does_not_have_yet_is_waited_for(self, bench, make_job):
        """The API may be rolled out before Serve."""
        at, job = bench([Refuse(status=422, code="unknown_model")], success()), make_job()
        at.accept(job)

        assert isinstance(at.process(message(job)), Release)
        assert at.process(message(job)) == Done()
        assert at.record(job.uid).status is Status.SUCCEEDED

    def test_why_a_message_is_parked_quotes_nothing_of_it(self, bench):
        """The reason goes into a log."""
        verdict = bench().process(json.dumps({"input": {"task": "my secret", "secret": 1}}))
        assert isinstance(verdict, Park)
        assert "secret" not in verdict.reason

    def test_a_newer_message_is_released_for_a_newer_reader(self, bench):
        """A rollout must not turn a queue into poison."""
        verdict = bench().process(json.dumps({"schema_version": 2, "uid": "x", "job": {}}))
        assert isinstance(verdict, Release)

    @pytest.mark.parametrize(
        ("part", "call"),
        [("table", "update"), ("store", "put"), ("notices", "publish")],
    )
    def test_while_aws_is_down_the_message_is_released_and_succeeds_later(
        self, bench, make_job, part, call
    ):
        """No step that AWS refuses loses the job or ends it."""
        at, job = bench(), make_job()
        at.accept(job)
        with failing(getattr(at, part), call):
            assert isinstance(at.process(message(job)), Release)

        assert at.process(message(job)) == Done()
        assert at.record(job.uid).status is Status.SUCCEEDED

    def test_a_tick_that_fails_costs_the_job_nothing(self, bench, make_job, fast_ticks):
        """The lease outlasts it, and the replica's work goes on."""
        hold = Hold()
        at, job = bench([success()[0], hold, *success()[1:]]), make_job()
        at.accept(job)
        update, ticks = at.table.update, []

        def flaky(key, change):
            if "step" in change.set:
                ticks.append(change)
                if len(ticks) > 2:
                    hold.event.set()
                raise Unavailable("injected")
            return update(key, change)

        at.table.update = flaky  # type: ignore[method-assign]
        assert at.process(message(job)) == Done()
        assert len(ticks) > 2
        assert at.record(job.uid).status is Status.SUCCEEDED


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
