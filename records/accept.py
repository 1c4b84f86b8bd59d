"""Accepting a job: from here on it ends in exactly one terminal state."""

import random
import re
import time
from dataclasses import dataclass

from jobs.job import LABEL_PATTERN, Family, Job
from jobs.keys import request_key
from jobs.uid import is_uid
from records.errors import ConditionFailed, IdInUse, Unavailable
from records.record import MAX_BODY_BYTES, Record, job_key, label_key, new_item
from records.store import ObjectStore
from records.table import Table

#: DynamoDB refuses a transaction that meets another one on the same id; so many tries
#: outlast the two or three others that a client's retries amount to.
_TRIES = 6


#: A job's message is published again when so much of its queue's retention has passed.
_REPUBLISH_AT = 0.8


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """The record of an accepted job; `created` is false if it was there before."""

    record: Record
    created: bool


def republish_moment(sent_ms: int, *, retention_s: float) -> int:
    """When a message sent at `sent_ms` may soon be lost by a queue with this retention."""
    return sent_ms + int(_REPUBLISH_AT * retention_s * 1000)


def accept(
    table: Table, store: ObjectStore, job: Job, *, fingerprint: str, republish_at: int
) -> Acceptance:
    """Write the record of `job`, unless its tenant's id already stands for the same job.

    `republish_at` is when the queue may soon lose the message. Raises `IdInUse` if the id stands
    for another job.
    """
    body = job.encode()
    if len(body) > MAX_BODY_BYTES:
        store.put(request_key(job.uid), body, media_type="application/json")
    item = new_item(job, body, fingerprint=fingerprint, republish_at=republish_at)
    if job.id == job.uid or not job.family.ids_are_unique:
        return _accept_unlabelled(table, item)
    key = label_key(job.tenant, job.family, job.id)
    # No `tenant` and no `created_at`: a label must not appear in the tenant's listing.
    label = {
        "pk": key,
        "uid": job.uid,
        "fingerprint": fingerprint,
        "expires_at": item["expires_at"],
    }
    for left in reversed(range(_TRIES)):
        try:
            table.put_new(label, item)
            return Acceptance(record=Record.from_item(item), created=True)
        except ConditionFailed as failed:
            found = failed.item or table.get(key)
        if found is not None:
            if len(body) > MAX_BODY_BYTES:
                store.delete(request_key(job.uid))  # nobody will ask for it
            return _known(table, found, fingerprint)
        time.sleep(random.uniform(0, 0.05) if left else 0)  # noqa: S311  # jitter, no secret
    raise Unavailable("DynamoDB: too many writers of the same id; send the job again")


def _accept_unlabelled(table: Table, item: dict[str, object]) -> Acceptance:
    try:
        table.put_new(item)
    except ConditionFailed as failed:
        if failed.item is None:
            raise
        # The uid is ours and new, so this is our own write, whose answer was lost; or it is
        # derived from a message that was delivered before.
        return Acceptance(record=Record.from_item(dict(failed.item)), created=False)
    return Acceptance(record=Record.from_item(item), created=True)


def _known(table: Table, label: object, fingerprint: str) -> Acceptance:
    assert isinstance(label, dict)
    if label["fingerprint"] != fingerprint:
        raise IdInUse("this id already stands for a job with another body; choose another id")
    found = table.get(job_key(label["uid"]))
    if found is None:
        raise IdInUse("this id stood for a job that is no longer kept; choose another id")
    return Acceptance(record=Record.from_item(found), created=False)


def find(table: Table, *, tenant: str, name: str, family: Family) -> Record | None:
    """The tenant's job with this uid or this id of its own; nobody else's."""
    item = table.get(job_key(name)) if is_uid(name) else None
    # A name from a URL may be longer than any key; one that looks like the uid of somebody
    # else's job may still be an id of the tenant's own.
    if (item is None or item["tenant"] != tenant) and re.fullmatch(LABEL_PATTERN, name):
        label = table.get(label_key(tenant, family, name))
        item = table.get(job_key(label["uid"])) if label else None
    if item is None or item["tenant"] != tenant:
        return None
    return Record.from_item(item)
