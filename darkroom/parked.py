"""Parked messages: looked at, sent again as a new job, or thrown away."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from darkroom.errors import NothingParked, NotReplayable
from darkroom.parking import Parking
from jobs.errors import JobsError
from jobs.job import Job
from jobs.message import Message
from jobs.uid import derived_uid
from records.accept import accept, republish_moment
from records.clock import now_ms
from records.errors import ObjectMissing
from records.parked import Parked
from records.publish import publish
from records.record import Record, job_key, load_job


@contextmanager
def parked(on: Parking) -> Iterator[list[Parked]]:
    """All parked messages; those not deleted in the block can be had by others after it."""
    held: list[Parked] = []
    try:
        while deliveries := on.parked.receive(limit=10, wait_s=1):
            held += [Parked.of(delivery) for delivery in deliveries]
        yield sorted(held, key=lambda each: each.delivery.sent_ms)
    finally:
        for each in held:
            on.parked.release(each.delivery)


def chosen(found: list[Parked], names: list[str], *, everything: bool) -> list[Parked]:
    """Those of `names`, by job or message; `NothingParked` for a name that is not there."""
    if everything:
        return found
    for name in names:
        if not any(name in (each.uid, each.delivery.message_id) for each in found):
            raise NothingParked(f"{name} is not parked")
    return [each for each in found if {each.uid, each.delivery.message_id} & set(names)]


def replay(on: Parking, message: Parked) -> str:
    """Send it again, then delete it; the uid of the job that it becomes.

    A job that has failed stays failed: a new one takes its place, the same one however often
    this is begun and killed.
    """
    uid = _replayed(on, message) if message.uid else _sent_again(on, message)
    on.parked.delete(message.delivery)
    return uid


def _replayed(on: Parking, message: Parked) -> str:
    item = on.table.get(job_key(message.uid or ""))
    if item is None:
        raise NotReplayable(f"{message.uid}: its record is no longer kept; purge it")
    record = Record.from_item(item)
    try:
        old = load_job(record, on.store)
    except (JobsError, ObjectMissing) as error:
        raise NotReplayable(f"{message.uid}: its body is gone; purge it") from error
    job = _again(old, record)
    republish_at = republish_moment(now_ms(), retention_s=on.retention_s)
    accept(on.table, on.store, job, fingerprint=job.uid, republish_at=republish_at)
    publish(on.table, on.store, on.jobs, job, now_ms=now_ms())
    return job.uid


def _again(old: Job, record: Record) -> Job:
    uid = derived_uid(f"replay:{old.uid}", record.terminal_at or record.created_at)
    return old.model_copy(
        update={
            "uid": uid,
            # The client's label is the old job's for good.
            "id": uid,
            "retry_of": old.uid,
            "deadline": None,
            "created_at": datetime.now(UTC),
        }
    )


def _sent_again(on: Parking, message: Parked) -> str:
    """For one that no bridge could read then, and this release can."""
    try:
        request = Message.decode(message.delivery.body).request
    except JobsError as error:
        raise NotReplayable(f"{message.name}: nobody can read it; purge it") from error
    if request is None or request.runtime is None:
        raise NotReplayable(f"{message.name}: it does not say which runtime is to do it; purge it")
    on.jobs.publish(message.delivery.body, {"runtime": request.runtime})
    return message.name
