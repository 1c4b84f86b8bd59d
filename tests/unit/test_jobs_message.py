"""How a job travels: lenient towards what is newer, and never poison."""

import json
from datetime import UTC, datetime

import pytest

from jobs.catalogue import Catalogue
from jobs.errors import InvalidJob, NewerSchema
from jobs.inputs import Task
from jobs.job import SCHEMA_VERSION, Family, Job, JobRequest
from jobs.message import Message, Reference
from jobs.outcome import ImageOutput, Outcome
from jobs.samples import sample_request
from jobs.uid import new_uid


@pytest.fixture
def job(catalogue: Catalogue):
    """A function that makes the job of a task."""

    def made(task=Task.TEXT_TO_IMAGE, **more):
        return Job.of_request(
            JobRequest.model_validate(sample_request(task) | more),
            uid=new_uid(),
            tenant="acme",
            family=Family.V1,
            catalogue=catalogue,
            now=datetime(2026, 11, 21, 10, 30, 0, 123456, tzinfo=UTC),
        )

    return made


@pytest.mark.parametrize("task", Task)
def test_a_job_is_read_as_it_was_written(job, task):
    """Each task, to the microsecond."""
    written = job(task, deadline="2026-11-22T00:00:00+01:00", metadata={"a": "Käse 🧀"})
    assert Job.decode(written.encode()) == written
    assert Job.decode(written.encode().decode()) == written


@pytest.mark.parametrize("task", Task)
def test_a_message_is_read_as_it_was_written(job, task):
    """With the job in it."""
    message = Message(uid="u", job=job(task))
    assert Message.decode(message.encode()) == message


def test_a_reference_is_read_as_it_was_written():
    """A large job's key and hash."""
    message = Message(uid="u", reference=Reference(key="requests/u.json", sha256="0" * 64))
    assert Message.decode(message.encode()) == message


def test_fields_that_are_not_set_are_not_written(job):
    """A message is as small as its job."""
    assert "callback" not in json.loads(job().encode())
    assert set(json.loads(Message(uid="u", job=job()).encode())) == {"schema_version", "uid", "job"}


def test_a_newer_message_is_read_by_an_older_reader(job):
    """Optional fields that it does not know are ignored, wherever they stand."""
    known = job()
    document = json.loads(Message(uid=known.uid, job=known).encode())
    document["sent_by"] = "release 9"
    document["job"]["watermark"] = {"strength": 3}
    document["job"]["input"]["style"] = "baroque"
    assert Message.decode(json.dumps(document)) == Message(uid=known.uid, job=known)
    assert Job.decode(json.dumps(document["job"])) == known


@pytest.mark.parametrize("where", ["message", "job", "request", "reference"])
def test_a_newer_major_version_is_left_to_a_newer_reader(job, where):
    """It is no fault of the message: a rollout must not turn a queue into poison."""
    newer = SCHEMA_VERSION + 1
    document = json.loads(Message(uid="u", job=job()).encode())
    match where:
        case "message":
            document["schema_version"] = newer
            document["job"] = "in a form that nobody knows yet"
        case "job":
            document["job"] = {"schema_version": newer, "in": "another form"}
        case "request":
            document = {"schema_version": newer, "wish": "in another form"}
        case "reference":
            document = {"schema_version": newer, "reference": 5}
    with pytest.raises(NewerSchema, match=f"schema_version is {newer}"):
        Message.decode(json.dumps(document))


def test_a_job_of_a_newer_major_version_is_left_to_a_newer_reader(job):
    """Also where it is read from a record."""
    document = {**json.loads(job().encode()), "schema_version": SCHEMA_VERSION + 1}
    with pytest.raises(NewerSchema):
        Job.decode(json.dumps(document))


def test_a_bare_request_is_a_message_too():
    """Sent straight to the topic by somebody who has no record with us yet."""
    message = Message.decode(json.dumps(sample_request()))
    assert message.request == JobRequest.model_validate(sample_request())
    assert (message.uid, message.job, message.reference) == (None, None, None)


GARBAGE = {
    "nothing": "",
    "no json": "{",
    "no object": "[]",
    "null": "null",
    "an empty object": "{}",
    "half a job": '{"job": {"uid": "u"}}',
    "no job": '{"job": null}',
    "no reference": '{"reference": null}',
    "a reference to nothing": '{"uid": "u", "reference": {"key": "k"}}',
    "two forms at once": '{"reference": {"key": "k", "sha256": "s"}, "request": {"input": '
    '{"prompt": "x"}}}',
    "half a character": '{"input": {"prompt": "\\ud800"}}',
    "nested too deep": "[" * 100_000,
    "nested too deep in an object": '{"input": ' * 50_000,
    "a number too long": "1" * 5000,
    "a version that is no number": '{"schema_version": "two", "input": {"prompt": "x"}, "job": 5}',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_message_that_is_none_is_refused_as_invalid(what):
    """It will not get better by waiting; whoever receives it can put it aside."""
    with pytest.raises(InvalidJob):
        Message.decode(GARBAGE[what])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "[" * 100_000])
def test_a_job_that_is_none_is_refused_as_invalid(text):
    """Also an object in the bucket that somebody replaced."""
    with pytest.raises(InvalidJob):
        Job.decode(text)


def test_bytes_that_are_no_text_are_refused_as_invalid():
    """Not an exception of the decoder."""
    with pytest.raises(InvalidJob):
        Job.decode(b"\xff\xfe{}")


def test_a_fault_of_a_message_names_the_field_below_its_form():
    """The pointer is into the job, as the sender wrote it."""
    with pytest.raises(InvalidJob) as refused:
        Message.decode(json.dumps({"job": {"uid": "u"}}))
    assert "/job/input" in {fault.pointer for fault in refused.value.faults}


def test_what_is_reserved_has_its_place_from_the_first_day(job):
    """So that a later release adds behaviour and changes no message."""
    reserved = {"priority", "deterministic", "callback", "deadline", "metadata", "trace"}
    assert reserved | {"schema_version", "retry_of", "tenant"} <= Job.model_fields.keys()
    assert "warnings" in Outcome.model_fields
    assert {"type", "seed"} <= ImageOutput.model_fields.keys()
    assert json.loads(job().encode())["schema_version"] == SCHEMA_VERSION
