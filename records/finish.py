"""Ending a job: the terminal state is written once."""

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.inputs import OutputFormat
from jobs.keys import attempt_keys, attempt_suffix, request_key
from jobs.outcome import Outcome
from jobs.status import LEASED, Status, check_edge, sources
from records.errors import ConditionFailed, LeaseLost, NotDone, RecordMissing
from records.lease import Lease
from records.record import FLAG, Record, job_key
from records.store import ObjectStore
from records.table import Change, Require, Table


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The answer to a terminal write: the record, and whether this write ended the job."""

    record: Record
    won: bool


def finish(
    table: Table,
    uid: str,
    outcome: Outcome,
    *,
    by: Lease | None,
    nonce: str,
    now_ms: int,
    uploaded_ms: int | None = None,
    stages: Mapping[str, int] | None = None,
) -> Finish:
    """Write the terminal state; of several that race the first wins.

    `by` is the owner's lease; without one the job must still be queued. A running job that was
    asked to cancel ends canceled, whatever the outcome. `nonce` is new for
    each call: it tells our own write, whose answer was lost, from somebody else's. Raises
    `LeaseLost` if another owner is at work, `RecordMissing` if there is no such job.
    """
    if by is None:
        check_edge(Status.QUEUED, outcome.status)
        require = [Require("status", "=", Status.QUEUED.value)]
    else:
        require = by.fence(sources(outcome.status) & LEASED)
        if outcome.status is not Status.CANCELED:
            require.append(Require("cancel_requested", "absent"))
    change = Change(
        require=require,
        set={
            "status": outcome.status.value,
            "outcome": outcome.model_dump_json(exclude_none=True),
            "nonce": nonce,
            "terminal_at": now_ms,
            "unannounced": FLAG,
            "lease_until": 0,
            **({"uploaded_at": uploaded_ms} if uploaded_ms else {}),
            **({"stages": dict(stages)} if stages else {}),
        },
        remove=["lease_owner", "unpublished", "due", "due_at"],
    )
    try:
        return Finish(record=Record.from_item(table.update(job_key(uid), change)), won=True)
    except ConditionFailed as failed:
        if failed.item is None:
            raise RecordMissing(f"there is no job {uid}") from None
        record = Record.from_item(dict(failed.item))
    if record.ended:
        return Finish(record=record, won=record.nonce == nonce)
    if by is not None and record.cancel_requested and by.is_of(record):
        # The client asked to cancel before this write, so that it was first.
        canceled = Outcome.canceled()
        return finish(table, uid, canceled, by=by, nonce=nonce, now_ms=now_ms)
    raise LeaseLost(f"job {uid} has another owner") from None


def cancel(table: Table, uid: str, *, nonce: str, now_ms: int) -> Finish:
    """End a queued job at once, or ask the owner of a running one to stop it.

    `won` is true if the job ended by this call. A job that has ended is left as it is.
    """
    try:
        return finish(table, uid, Outcome.canceled(), by=None, nonce=nonce, now_ms=now_ms)
    except LeaseLost:
        pass
    asked = Change(
        require=[Require("status", "in", {each.value for each in LEASED})],
        set={"cancel_requested": True},
    )
    try:
        return Finish(record=Record.from_item(table.update(job_key(uid), asked)), won=False)
    except ConditionFailed as failed:
        record = Record.from_item(dict(failed.item or {}))
    if record.ended:
        return Finish(record=record, won=False)
    # It was released between the two writes.
    return cancel(table, uid, nonce=nonce, now_ms=now_ms)


def erase(table: Table, store: ObjectStore, record: Record, *, now_ms: int) -> Record:
    """Remove the images and what was asked for; the tombstone stays until the record expires.

    Raises `NotDone` while the job has not ended.
    """
    if not record.ended:
        raise NotDone("the job has not ended yet; cancel it first")
    for key in _objects(record):
        store.delete(key)
    kept = (
        record.outcome.model_copy(update={"outputs": (), "document_key": None})
        if (record.outcome)
        else Outcome(status=record.status)
    )
    change = Change(
        require=[Require("pk", "present")],
        set={
            "outcome": kept.model_dump_json(exclude_none=True),
            "deleted_at": now_ms,
            "metadata": {},
        },
        remove=["input", "body", "body_sha256", "context", "callback", "due", "due_at"],
    )
    return Record.from_item(table.update(job_key(record.uid), change))


def _objects(record: Record) -> list[str]:
    """Every object that the job may have left, those of attempts that did not win included."""
    wanted = record.input or {}
    keys = [
        key
        for attempt in range(record.attempt + 1)
        for key in attempt_keys(
            record.prefix,
            record.id,
            attempt_suffix(record.uid, attempt),
            images=int(wanted.get("num_images_per_prompt", 1)),
            extension=OutputFormat(wanted.get("output_format", "png")).extension,
        )
    ]
    if record.outcome is not None:
        keys += [output.key for output in record.outcome.outputs]
        keys += [record.outcome.document_key] if record.outcome.document_key else []
    keys += [request_key(record.uid)] if record.body_sha256 is not None else []
    return sorted(set(keys))
