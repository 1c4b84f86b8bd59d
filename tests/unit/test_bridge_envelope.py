"""Reading a queue's message, raw or in SNS's envelope."""

import json
from collections.abc import Callable

import pytest

from bridge.envelope import job_of, open_delivery
from jobs.catalogue import Catalogue
from jobs.errors import InvalidJob, NewerSchema
from jobs.job import Family, Job
from jobs.message import Message
from jobs.samples import sample_request
from jobs.uid import is_uid
from records.memory import MemoryStore
from records.queue import Delivery


def delivery(body: str, *, message_id: str = "m-1", sent_ms: int = 1_795_230_000_000) -> Delivery:
    return Delivery(message_id=message_id, receipt="r", body=body, receive_count=1, sent_ms=sent_ms)


def enveloped(body: str, **more: str) -> str:
    return json.dumps({"Type": "Notification", "MessageId": "sns-1", "Message": body, **more})


def opened_job(body: str, catalogue: Catalogue, **more: object) -> Job:
    opened = open_delivery(delivery(body, **more))  # type: ignore[arg-type]
    return job_of(opened, store=MemoryStore(), catalogue=catalogue)


def test_a_raw_message_and_an_enveloped_one_are_the_same_job(
    make_job: Callable[..., Job], catalogue: Catalogue
):
    """Whatever the subscription's delivery is set to."""
    job = make_job()
    body = Message(uid=job.uid, job=job).encode()
    assert opened_job(body, catalogue) == job
    assert opened_job(enveloped(body), catalogue) == job


def test_a_bare_request_gets_a_uid_that_is_the_same_for_every_delivery(catalogue: Catalogue):
    """From the SQS message id when raw."""
    body = json.dumps(sample_request())
    first, again = opened_job(body, catalogue), opened_job(body, catalogue)
    other = opened_job(body, catalogue, message_id="m-2")
    assert is_uid(first.uid)
    assert first.uid == again.uid != other.uid
    assert first.family is Family.TOPIC


def test_in_an_envelope_the_uid_comes_from_sns_whatever_queue_it_arrived_by(catalogue: Catalogue):
    """The SQS message id differs by queue, SNS's does not."""
    body = enveloped(json.dumps(sample_request()), Timestamp="2026-11-21T03:00:00.000Z")
    first = opened_job(body, catalogue, message_id="m-1", sent_ms=1)
    other = opened_job(body, catalogue, message_id="m-2", sent_ms=2)
    assert first.uid == other.uid


def test_a_newer_reader_s_message_is_told_from_a_broken_one():
    """The first waits for a newer bridge, the second for a person."""
    with pytest.raises(NewerSchema):
        open_delivery(delivery('{"schema_version": 9, "uid": "x"}'))
    with pytest.raises(InvalidJob):
        open_delivery(delivery('{"schema_version": 1, "uid": "x"}'))


def test_unknown_optional_fields_of_a_newer_writer_are_ignored(
    make_job: Callable[..., Job], catalogue: Catalogue
):
    """Inside the system readers are lenient, so that a rollout may take its time."""
    job = make_job()
    document = json.loads(Message(uid=job.uid, job=job).encode())
    document["fresh"] = 1
    document["job"]["fresh"] = {"deep": True}
    document["job"]["input"]["fresh"] = [1]
    assert opened_job(json.dumps(document), catalogue) == job


def test_a_request_beyond_the_model_s_limits_is_invalid(catalogue: Catalogue):
    """Sent past the API, it is checked all the same."""
    with pytest.raises(InvalidJob, match="/input/width"):
        opened_job(json.dumps(sample_request(width=10_000, height=10_000)), catalogue)
