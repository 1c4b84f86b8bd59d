"""Publishing an accepted job to the queues."""

import hashlib

from jobs.job import Job
from jobs.keys import request_key
from jobs.message import MAX_INLINE_BYTES, Message, Reference
from records.errors import ConditionFailed
from records.record import Record, job_key
from records.store import ObjectStore
from records.table import Change, Require, Table
from records.topic import Topic


def publish(
    table: Table, store: ObjectStore, topic: Topic, job: Job, *, now_ms: int, again: bool = False
) -> Record | None:
    """Publish `job` and note when; None if its record is gone.

    A crash between the two publishes it twice: the lease makes that harmless. `again` notes
    a second publication, for a message that its queue may have lost.
    """
    topic.publish(message_of(store, job), _attributes(job))
    moment = {"republished_at": now_ms} if again else {"published_at": now_ms}
    change = Change(require=[Require("pk", "present")], set=moment, remove=["unpublished"])
    try:
        return Record.from_item(table.update(job_key(job.uid), change))
    except ConditionFailed:
        return None


def message_of(store: ObjectStore, job: Job) -> str:
    """The message: the job itself, or where it lies if SNS would refuse its size."""
    inline = Message(uid=job.uid, job=job).encode()
    if len(inline.encode()) <= MAX_INLINE_BYTES:
        return inline
    body = job.encode()
    key = request_key(job.uid)
    store.put(key, body, media_type="application/json")
    reference = Reference(key=key, sha256=hashlib.sha256(body).hexdigest())
    return Message(uid=job.uid, reference=reference).encode()


def _attributes(job: Job) -> dict[str, str]:
    """What filter policies route by, and the trace. SNS keeps ten at most."""
    attributes = {
        "runtime": job.runtime,
        "tenant": job.tenant,
        "priority": job.priority.value,
    }
    if job.trace:
        attributes["traceparent"] = job.trace
    return attributes
