"""A bridge that dies between any two steps: the next delivery finishes the rest."""

import json

import pytest
from bridge_bench import Bench, message

from bridge.scripted import success
from bridge.verdict import Done, Reject
from jobs.keys import attempt_suffix, document_key
from jobs.status import ErrorCode, Status
from jobs.stream import Accepted, Error
from records.record import job_key
from records.table import Change


class Killed(BaseException):
    """What no handler of ours may stop: the process is gone."""


#: Calls of one job that goes well, in their order: part, name, and which of them.
STEPS = [
    ("table", "update", 1),  # lease
    ("table", "update", 2),  # start
    ("store", "put", 1),  # first image
    ("store", "put", 2),  # second image
    ("store", "put", 3),  # document
    ("table", "update", 3),  # terminal state
    ("notices", "publish", 1),
    ("table", "update", 4),  # that it was announced
]
#: From here on all that the GPU has made is in the bucket.
UPLOADED = STEPS.index(("store", "put", 3))


def killed(at: Bench, body: str, *, part: str, name: str, number: int, before: bool) -> None:
    """Process the message and die before or after this call."""
    target, calls = getattr(at, part), 0
    original = getattr(target, name)

    def deadly(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number and before:
            raise Killed
        result = original(*args, **kwargs)
        if calls == number:
            raise Killed
        return result

    setattr(target, name, deadly)
    with pytest.raises(Killed):
        at.process(body)
    setattr(target, name, original)
    expire(at)


def expire(at: Bench) -> None:
    """Let the dead bridge's lease run out."""
    for posted in at.serve.posted or []:
        at.table.update(job_key(str(posted["uid"])), Change(set={"lease_until": 0}))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", range(len(STEPS)), ids=[f"{p}.{n}-{k}" for p, n, k in STEPS])
def test_killed_at_any_step_a_job_ends_once_and_no_upload_is_made_again(
    bench, make_job, step, before
):
    """One terminal state, one event id, and the GPU works again only if its work was lost."""
    at, job = bench(success(images=2)), make_job(input={"prompt": "x", "num_images_per_prompt": 2})
    at.accept(job)
    part, name, number = STEPS[step]

    killed(at, message(job), part=part, name=name, number=number, before=before)
    at.table.update(job_key(job.uid), Change(set={"lease_until": 0}))
    assert at.process(message(job)) == Done()

    record = at.record(job.uid)
    assert record.status is Status.SUCCEEDED
    assert record.notified_at is not None
    assert len(record.outcome.outputs) == 2
    assert all(at.store.get(output.key) for output in record.outcome.outputs)
    assert {n["job"]["event_id"] for n in at.notices.bodies()} == {f"{job.uid}:succeeded"}
    uploaded = step > UPLOADED or (step == UPLOADED and not before)
    started = step >= STEPS.index(("table", "update", 2))
    assert len(at.serve.posted) == (1 if uploaded or not started else 2)


def test_a_failure_that_was_written_down_is_not_generated_again_either(bench, make_job):
    """The document tells of failures as well."""
    error = Error(code=ErrorCode.INVALID_INPUT, message="the mask is not a picture")
    at, job = bench([Accepted(replica="r"), error]), make_job()
    at.accept(job)

    killed(at, message(job), part="store", name="put", number=1, before=False)
    assert at.process(message(job)) == Done()
    assert len(at.serve.posted) == 1
    record = at.record(job.uid)
    assert (record.status, record.outcome.error.code) == (Status.FAILED, ErrorCode.INVALID_INPUT)


@pytest.mark.parametrize(
    "changed", [{"uid": "another"}, {"attempt": 2}, {"status": "finished"}, {"outputs": 5}]
)
def test_a_document_that_is_not_this_attempt_s_tells_nothing(bench, make_job, changed):
    """Four hex digits in a key are no proof."""
    at, job = bench(success()), make_job()
    at.accept(job)
    killed(at, message(job), part="table", name="update", number=3, before=True)
    key = document_key(job.prefix, job.id, attempt_suffix(job.uid, 1))
    content = json.loads(at.store.get(key)) | changed
    at.store.put(key, json.dumps(content).encode(), media_type="application/json")

    assert at.process(message(job)) == Done()
    assert len(at.serve.posted) == 2
    assert at.record(job.uid).attempt == 2


def test_one_who_was_rejected_and_killed_before_the_verdict_is_announced_once(bench, make_job):
    """A message that comes again after its job has failed finds it ended."""
    error = Error(code=ErrorCode.INVALID_INPUT, message="no")
    at, job = bench([Accepted(replica="r"), error]), make_job()
    at.accept(job)
    assert isinstance(at.process(message(job)), Reject)
    assert at.process(message(job)) == Done()
    assert len(at.notices.published) == 1
