"""What records do when AWS fails: every error is one of ours, a lost answer loses no job."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from jobs.inputs import ImageToImage
from jobs.keys import request_key
from jobs.outcome import Outcome
from records import accept as accept_module
from records.accept import accept
from records.errors import (
    MISSING,
    ConditionFailed,
    IdInUse,
    ObjectChanged,
    ObjectMissing,
    RecordsError,
    Unavailable,
    translated,
)
from records.finish import cancel, finish
from records.lease import Lease, lease, start
from records.memory import MemoryStore, MemoryTable
from records.publish import publish
from records.record import job_key, read_referred

NOW = 1_795_255_200_000


class Forgetful(MemoryTable):
    """A table that does the next write and loses its answer: the caller sees an outage."""

    def __init__(self):
        super().__init__()
        self.lose = False

    def put_new(self, *items):
        super().put_new(*items)
        self._answer()

    def update(self, key, change):
        item = super().update(key, change)
        self._answer()
        return item

    def _answer(self):
        if self.lose:
            self.lose = False
            raise Unavailable("DynamoDB: the answer was lost")


def twice(table, call):
    """Make a call whose first answer is lost, as a client that repeats it."""
    table.lose = True
    with pytest.raises(Unavailable):
        call()
    return call()


@pytest.mark.parametrize("label", [None, "order-7"])
def test_a_repeated_acceptance_is_the_same_job(new_job, label):
    """With and without an id of the client's."""
    table, store = Forgetful(), MemoryStore()
    wanted = new_job(id=label) if label else new_job()
    done = twice(table, lambda: accept(table, store, wanted, fingerprint="f", republish_at=NOW))
    assert done.record.uid == wanted.uid
    assert len(table.query("by-tenant", "default").items) == 1


def test_a_repeated_lease_start_finish_and_cancel_are_each_done_once(new_job):
    """Each recognises its own write: by the owner's name, the status, the nonce."""
    table, store = Forgetful(), MemoryStore()
    first, second = new_job(), new_job()
    for each in (first, second):
        accept(table, store, each, fingerprint="f", republish_at=NOW)
    until = NOW + 60_000
    held = twice(table, lambda: lease(table, first.uid, owner="one", now_ms=NOW, until_ms=until))
    assert isinstance(held, Lease)
    running = twice(table, lambda: start(table, held, now_ms=NOW, until_ms=until))
    assert running.attempt == 1
    done = twice(
        table,
        lambda: finish(table, first.uid, Outcome.canceled(), by=running, nonce="n", now_ms=NOW),
    )
    assert done.won
    assert twice(table, lambda: cancel(table, second.uid, nonce="m", now_ms=NOW)).won


class Crowded(MemoryTable):
    """A table whose transactions meet others, and which says nothing about them."""

    def __init__(self, conflicts):
        super().__init__()
        self.conflicts = conflicts

    def put_new(self, *items):
        if self.conflicts:
            self.conflicts -= 1
            raise ConditionFailed(None)
        super().put_new(*items)


def test_a_transaction_that_met_another_is_tried_again(new_job, monkeypatch):
    """DynamoDB refuses both without naming an item; one of them comes through."""
    monkeypatch.setattr(accept_module.time, "sleep", lambda _: None)
    table = Crowded(conflicts=3)
    done = accept(table, MemoryStore(), new_job(id="a"), fingerprint="f", republish_at=NOW)
    assert done.created


def test_transactions_that_never_come_through_are_an_outage(new_job, monkeypatch):
    """The client is asked to come again; nothing was accepted."""
    monkeypatch.setattr(accept_module.time, "sleep", lambda _: None)
    with pytest.raises(Unavailable, match="send the job again"):
        accept(Crowded(99), MemoryStore(), new_job(id="a"), fingerprint="f", republish_at=NOW)


def test_an_id_whose_job_has_expired_is_not_taken_for_a_new_one(new_job):
    """DynamoDB deletes a record and its label at different times."""
    table, store = MemoryTable(), MemoryStore()
    old = new_job(id="a")
    accept(table, store, old, fingerprint="f", republish_at=NOW)
    del table._items[job_key(old.uid)]
    with pytest.raises(IdInUse, match="no longer kept"):
        accept(table, store, new_job(id="a"), fingerprint="f", republish_at=NOW)


def test_a_large_body_is_in_the_bucket_before_its_record_says_so(new_job):
    """A record that cannot be read would never end."""

    class Full(MemoryStore):
        def put(self, key, data, *, media_type):
            raise Unavailable("S3 PutObject: slow down")

    table = MemoryTable()
    large = new_job(input=ImageToImage(prompt="x", image="A" * 300_000))
    with pytest.raises(Unavailable):
        accept(table, Full(), large, fingerprint="f", republish_at=NOW)
    assert table.get(job_key(large.uid)) is None


def test_a_job_whose_message_was_refused_is_not_published(new_job):
    """Its record stays in the index of the unpublished."""

    class Down:
        def publish(self, body, attributes):
            raise Unavailable("SNS Publish: it is down")

    table, store, wanted = MemoryTable(), MemoryStore(), new_job()
    accept(table, store, wanted, fingerprint="f", republish_at=NOW)
    with pytest.raises(Unavailable):
        publish(table, store, Down(), wanted, now_ms=NOW)
    assert len(table.query("unpublished", "1").items) == 1


def test_a_referred_object_that_is_none_is_refused(new_job):
    """Missing and changed are two faults: one may be waited for, the other not."""
    store = MemoryStore()
    with pytest.raises(ObjectMissing):
        read_referred(store, request_key("u"), "0" * 64)
    store.put(request_key("u"), b"{}", media_type="application/json")
    with pytest.raises(ObjectChanged):
        read_referred(store, request_key("u"), "0" * 64)


def refused(code, **more):
    """botocore's error of that code."""
    return ClientError({"Error": {"Code": code, "Message": "m"}, **more}, "Operation")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (refused("ConditionalCheckFailedException"), ConditionFailed),
        (refused("TransactionCanceledException"), ConditionFailed),
        (refused("NoSuchKey"), ObjectMissing),
        (refused("404"), ObjectMissing),
        (refused("ProvisionedThroughputExceededException"), Unavailable),
        (refused("ThrottlingException"), Unavailable),
        (refused("AccessDenied"), Unavailable),
        (refused("NoSuchBucket"), Unavailable),
        (refused("AWS.SimpleQueueService.NonExistentQueue"), Unavailable),
        (refused("InternalError"), Unavailable),
        (EndpointConnectionError(endpoint_url="http://x"), Unavailable),
        (ReadTimeoutError(endpoint_url="http://x"), Unavailable),
    ],
)
def test_every_error_of_aws_becomes_one_of_ours(error, ours):
    """What the job is not to blame for is an outage, never a failure of the job."""
    with pytest.raises(RecordsError) as raised, translated("what we did", missing=MISSING):
        raise error
    assert type(raised.value) is ours
    assert raised.value.__cause__ is error


def test_only_who_reads_an_object_can_miss_one():
    """A queue or a table that is not there is an outage: the job is not to blame."""
    error = ClientError({"Error": {"Code": "404"}}, "ReceiveMessage")
    with pytest.raises(Unavailable), translated("SQS ReceiveMessage"):
        raise error


def test_an_outage_says_what_was_done_and_why_it_failed():
    """One line in a log is enough to see where to look: also which of several calls it was."""
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no policy"}}, "Publish")
    with pytest.raises(Unavailable) as raised, translated("SNS Publish"):
        raise denied
    assert str(raised.value) == "SNS Publish: AccessDenied: no policy"
    with pytest.raises(Unavailable) as raised, translated("SNS, topic a"):
        raise denied
    assert str(raised.value) == "SNS, topic a, Publish: AccessDenied: no policy"


def test_of_a_long_message_the_beginning_is_said_and_the_cause_has_it_whole():
    """EC2's refusals end with a thousand characters that only `sts` can read."""
    message = "You are not authorized. Encoded authorization failure message: " + "x" * 1000
    error = ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": message}}, "Run")
    with pytest.raises(Unavailable) as raised, translated("EC2 Run"):
        raise error
    assert str(raised.value).endswith("Encoded authorization failure message: [...]")
    assert message in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "more",
    [
        {"Item": {"pk": {"S": "a"}, "n": {"N": "5"}}},
        {"CancellationReasons": [{"Code": "None"}, {"Item": {"pk": {"S": "a"}, "n": {"N": "5"}}}]},
    ],
)
def test_a_refused_condition_brings_the_item_that_lies_there(more):
    """Of one write and of a transaction."""
    with pytest.raises(ConditionFailed) as raised, translated("DynamoDB"):
        raise refused("TransactionCanceledException", **more)
    assert raised.value.item == {"pk": "a", "n": 5}
