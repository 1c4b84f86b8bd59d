"""What the bridge makes of a message when something fails."""

import hashlib
import json

import httpx
import pytest
from bridge_bench import failing, message

from bridge.generation import Generation
from bridge.process import ATTEMPTS
from bridge.scripted import BreakOff, Hold, Raw, Refuse, success
from bridge.verdict import Done, Park, Reject, Release
from jobs.keys import request_key
from jobs.message import Message, Reference
from jobs.samples import sample_png
from jobs.status import ErrorCode, Status
from jobs.stream import ALONE_HEADER, Accepted, Canceled, Error, Progress, Result
from records.errors import Unavailable

OUT_OF_MEMORY = [
    Accepted(replica="r"),
    Error(code=ErrorCode.OUT_OF_MEMORY, message="CUDA out of memory", retryable=True),
]


class TestFailure:
    def test_a_deterministic_error_fails_the_job_at_once(self, bench, make_job):
        """What would end the same way is not tried again."""
        error = Error(code=ErrorCode.INVALID_INPUT, message="the mask is not a picture")
        at, job = bench([Accepted(replica="r"), error]), make_job()
        at.accept(job)

        verdict = Reject(code=ErrorCode.INVALID_INPUT, message="the mask is not a picture")
        assert at.process(message(job)) == verdict

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

        assert isinstance(at.process(message(job)), Reject)
        assert at.record(job.uid).status is Status.FAILED

    @pytest.mark.parametrize(
        "script",
        [
            [Refuse(status=503)],
            [Refuse(status=500)],
            [Accepted(replica="r"), BreakOff(httpx.ReadTimeout("silence"))],
            [Accepted(replica="r"), BreakOff(httpx.ReadError("connection reset"))],
            [Accepted(replica="r"), Raw("{")],
            [Accepted(replica="r"), Progress(stage="denoise", step=1, total=4)],
            [Accepted(replica="r"), BreakOff()],
            [Accepted(replica="r"), Canceled()],
            [
                Accepted(replica="r"),
                Error(code=ErrorCode.OUT_OF_MEMORY, message="", retryable=True),
            ],
        ],
        ids=[
            "503",
            "500",
            "timeout",
            "reset",
            "half a line",
            "no last line",
            "broken off",
            "given up",
            "out of memory",
        ],
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

    @pytest.mark.parametrize("error", [httpx.ReadTimeout("x"), httpx.ReadError("x")])
    def test_a_stream_that_breaks_off_is_not_posted_again_at_once(self, bench, make_job, error):
        """One delivery is one generation: no layer below repeats a POST."""
        at, job = bench([Accepted(replica="r"), BreakOff(error)]), make_job()
        at.accept(job)

        assert isinstance(at.process(message(job)), Release)
        assert len(at.serve.posted) == 1

    @pytest.mark.parametrize(
        "script",
        [
            [Accepted(replica="r"), Result(images=0)],
            [Accepted(replica="r"), Result(images=1)],
            [*success()[:-1], Result(images=2)],
            [
                Accepted(replica="r"),
                success()[2].model_copy(update={"data": sample_png(64, (0, 0, 0))}),  # type: ignore[union-attr]
                Result(images=1),
            ],
        ],
        ids=["no images", "none of one", "one of two", "damaged"],
    )
    def test_a_result_without_its_images_is_no_success(self, bench, make_job, script):
        """Nothing empty, partial or damaged is ever uploaded as the answer."""
        at, job = bench(script, success()), make_job()
        at.accept(job)

        assert isinstance(at.process(message(job)), Release)
        assert at.process(message(job)) == Done()
        assert len(at.record(job.uid).outcome.outputs) == 1

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
        assert isinstance(at.process(message(job)), Reject)

        record = at.record(job.uid)
        assert record.status is Status.FAILED
        assert record.attempt == ATTEMPTS

    def test_ten_releases_and_then_a_success_end_in_succeeded(self, bench, make_job):
        """The receive count is not the attempt count."""
        at, job = bench(*[[Refuse(status=503)]] * 10, success()), make_job()
        at.accept(job)
        verdicts = [at.process(message(job)) for _ in range(11)]

        assert [type(each) for each in verdicts] == [Release] * 10 + [Done]
        record = at.record(job.uid)
        assert (record.status, record.attempt) == (Status.SUCCEEDED, 1)

    def test_out_of_memory_is_tried_once_more_alone(self, bench, make_job):
        """Beside others it did not fit; alone it may."""
        at, job = bench(OUT_OF_MEMORY, success()), make_job()
        at.accept(job)

        assert isinstance(at.process(message(job)), Release)
        assert at.process(message(job)) == Done()
        assert [ALONE_HEADER in headers for headers in at.serve.headers] == [False, True]
        assert at.record(job.uid).status is Status.SUCCEEDED

    def test_out_of_memory_alone_fails_the_job_as_such(self, bench, make_job):
        """A third attempt would end the same."""
        at, job = bench(OUT_OF_MEMORY), make_job()
        at.accept(job)

        assert isinstance(at.process(message(job)), Release)
        verdict = at.process(message(job))
        assert isinstance(verdict, Reject)
        assert verdict.code is ErrorCode.OUT_OF_MEMORY
        record = at.record(job.uid)
        assert (record.status, record.attempt) == (Status.FAILED, 2)
        assert record.outcome.error.code is ErrorCode.OUT_OF_MEMORY

    def test_a_bug_of_ours_gives_the_job_back_and_ends_when_the_budget_has(
        self, bench, make_job, monkeypatch
    ):
        """Unforeseen is not swallowed: it is logged, and costs what it has cost."""
        at, job = bench(success()), make_job()
        at.accept(job)
        monkeypatch.setattr(Generation, "_upload", lambda *_: 1 / 0)

        for attempt in range(1, ATTEMPTS):
            assert isinstance(at.process(message(job)), Release)
            assert at.record(job.uid).attempt == attempt
            assert at.record(job.uid).status is Status.QUEUED
        assert isinstance(at.process(message(job)), Reject)
        assert at.record(job.uid).status is Status.FAILED

    def test_a_serve_that_never_has_room_gets_the_message_taken_back(self, bench, make_job):
        """What holds a message without end hides that nothing moves."""
        at, job = bench([Refuse(status=429, retry_after="0.1")]), make_job()
        at.accept(job)
        at.patience_s = 0.3

        assert isinstance(at.process(message(job)), Release)
        assert len(at.serve.posted) == 4
        assert at.record(job.uid).attempt == 0

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

    @pytest.mark.parametrize("by_reference", [False, True], ids=["inline", "by reference"])
    def test_a_job_of_another_runtime_is_parked(self, bench, make_job, by_reference):
        """Its message has gone astray; here it must neither run nor fail."""
        at, job = bench(), make_job(runtime="other")
        at.accept(job)
        at.store.put(request_key(job.uid), job.encode(), media_type="application/json")
        digest = hashlib.sha256(job.encode()).hexdigest()
        reference = Reference(key=request_key(job.uid), sha256=digest)
        referring = Message(uid=job.uid, reference=reference).encode()

        assert isinstance(at.process(referring if by_reference else message(job)), Park)
        record = at.record(job.uid)
        assert (record.status, record.lease_owner) == (Status.QUEUED, None)
        assert at.serve.posted == []

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
