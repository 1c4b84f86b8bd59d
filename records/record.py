"""The record of a job: one item of the table, the truth about what has become of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from jobs.job import Family, Job
from jobs.keys import request_key
from jobs.outcome import Outcome
from jobs.status import TERMINAL, Status
from records.errors import ObjectChanged
from records.store import ObjectStore
from records.table import Item

#: A job's body up to this size lies in its record, a larger one in the bucket. DynamoDB
#: allows 400 KB an item, but every tick pays for the whole of it. With the longest prompts
#: (24 KB), metadata (37 KB) and outputs beside it an item stays below 100 KB.
MAX_BODY_BYTES = 32_000
#: Longer than any queue keeps a message (SQS: 14 days at most), so that a late message
#: always finds its record.
KEPT_S = 30 * 24 * 3600
#: The one partition of each sparse index.
FLAG = "1"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the table says of a job. Times are milliseconds since the epoch."""

    uid: str
    id: str
    tenant: str
    family: Family
    runtime: str
    model: str
    priority: str
    #: Of the outputs' keys.
    prefix: str
    status: Status
    #: What was asked for, pictures replaced by their hash; absent once deleted.
    input: Mapping[str, Any] | None
    metadata: Mapping[str, str]
    #: Echoed in the notice.
    context: Any
    trace: str | None
    deadline: int | None
    #: The job that this one takes the place of.
    retry_of: str | None
    fingerprint: str
    #: The job as JSON, or the SHA-256 of the object under `request_key(uid)`.
    body: str | None
    body_sha256: str | None
    #: How often Serve has accepted the job.
    attempt: int
    lease_owner: str | None
    lease_until: int
    cancel_requested: bool
    stage: str | None
    step: int
    total: int
    #: When each stage of the present attempt began.
    stages: Mapping[str, int]
    outcome: Outcome | None
    nonce: str | None
    created_at: int
    published_at: int | None
    leased_at: int | None
    started_at: int | None
    uploaded_at: int | None
    terminal_at: int | None
    notified_at: int | None
    republished_at: int | None
    deleted_at: int | None
    due_at: int | None
    #: Whom to call when the job has ended, how often that failed, and how it ended.
    callback: str | None
    calls: int
    called: str | None

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Read an item that `new_item` or one of the transitions wrote."""
        number = item.get
        return cls(
            uid=item["uid"],
            id=item["id"],
            tenant=item["tenant"],
            family=Family(item["family"]),
            runtime=item["runtime"],
            model=item["model"],
            priority=item["priority"],
            prefix=item["prefix"],
            status=Status(item["status"]),
            input=json.loads(item["input"]) if "input" in item else None,
            metadata=item.get("metadata", {}),
            context=json.loads(item["context"]) if "context" in item else None,
            trace=item.get("trace"),
            deadline=number("deadline"),
            retry_of=item.get("retry_of"),
            fingerprint=item["fingerprint"],
            body=item.get("body"),
            body_sha256=item.get("body_sha256"),
            attempt=item["attempt"],
            lease_owner=item.get("lease_owner"),
            lease_until=item["lease_until"],
            cancel_requested=bool(item.get("cancel_requested")),
            stage=item.get("stage"),
            step=item.get("step", 0),
            total=item.get("total", 0),
            stages=item.get("stages", {}),
            outcome=Outcome.model_validate_json(item["outcome"]) if "outcome" in item else None,
            nonce=item.get("nonce"),
            created_at=item["created_at"],
            published_at=number("published_at"),
            leased_at=number("leased_at"),
            started_at=number("started_at"),
            uploaded_at=number("uploaded_at"),
            terminal_at=number("terminal_at"),
            notified_at=number("notified_at"),
            republished_at=number("republished_at"),
            deleted_at=number("deleted_at"),
            due_at=number("due_at"),
            callback=item.get("callback"),
            calls=item.get("calls", 0),
            called=item.get("called"),
        )


def job_key(uid: str) -> str:
    """The partition key of a job's record."""
    return f"job#{uid}"


def label_key(tenant: str, family: Family, label: str) -> str:
    """The partition key of the item that holds a client's id."""
    return f"id#{tenant}#{family}#{label}"


def new_item(job: Job, body: bytes, *, fingerprint: str, republish_at: int) -> Item:
    """The item of a job that was just accepted."""
    created = int(job.created_at.timestamp() * 1000)
    deadline = int(job.deadline.timestamp() * 1000) if job.deadline else None
    item: Item = {
        "pk": job_key(job.uid),
        "uid": job.uid,
        "id": job.id,
        "tenant": job.tenant,
        "family": job.family.value,
        "runtime": job.runtime,
        "model": job.model,
        "priority": job.priority.value,
        "prefix": job.prefix,
        "status": Status.QUEUED.value,
        "input": json.dumps(shown_input(job), ensure_ascii=False),
        "metadata": job.metadata,
        "fingerprint": fingerprint,
        "attempt": 0,
        "lease_until": 0,
        "created_at": created,
        "expires_at": created // 1000 + KEPT_S,
        "unpublished": FLAG,
        "due": FLAG,
        "due_at": republish_at if deadline is None else min(deadline, republish_at),
    }
    if job.family is Family.TOPIC:
        # It came by a queue, so it needs no publishing.
        item["published_at"] = created
        del item["unpublished"]
    if deadline is not None:
        item["deadline"] = deadline
    if job.context is not None:
        item["context"] = json.dumps(job.context)
    if job.trace is not None:
        item["trace"] = job.trace
    if job.callback is not None:
        item["callback"] = job.callback
    if job.retry_of is not None:
        item["retry_of"] = job.retry_of
    if len(body) <= MAX_BODY_BYTES:
        item["body"] = body.decode()
    else:
        item["body_sha256"] = hashlib.sha256(body).hexdigest()
    return item


def shown_input(job: Job) -> dict[str, Any]:
    """The input with its pictures replaced by their hash: small enough for any listing."""
    shown: dict[str, Any] = job.input.model_dump(mode="json", exclude_none=True)
    for name in ("image", "mask_image"):
        if name in shown:
            shown[name] = "sha256:" + hashlib.sha256(shown[name].encode()).hexdigest()
    return shown


def load_job(record: Record, store: ObjectStore) -> Job:
    """The job of a record; its body may lie in the bucket."""
    if record.body is not None:
        return Job.decode(record.body)
    return read_referred(store, request_key(record.uid), record.body_sha256 or "")


def read_referred(store: ObjectStore, key: str, sha256: str) -> Job:
    """The job under `key`; `ObjectChanged` if its bytes are not the ones referred to."""
    body = store.get(key)
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ObjectChanged(f"{key} is not the object that was referred to")
    return Job.decode(body)
