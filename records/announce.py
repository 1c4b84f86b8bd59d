"""Telling subscribers how a job ended. The record alone says all there is to tell."""

from jobs.notice import Notice
from jobs.outcome import Outcome
from jobs.status import Status
from records.errors import ConditionFailed
from records.record import FLAG, Record, job_key
from records.table import Change, Require, Table
from records.topic import Topic
from records.webhook import ON_ITS_WAY_MS, is_to_call


def notice_of(record: Record, *, bucket: str) -> Notice:
    """The notice of a job that has ended; every call for the same job gives the same one."""
    outcome = record.outcome or Outcome(status=record.status)
    succeeded = record.status is Status.SUCCEEDED
    document = outcome.document_key
    return Notice(
        runtime=record.runtime,
        id=record.id,
        result=succeeded,
        status="completed" if succeeded else "failed",
        image_url=[f"s3://{bucket}/{output.key}" for output in outcome.outputs],
        output_url=f"s3://{bucket}/{document}" if document else None,
        context={} if record.context is None else record.context,
        job={
            "event_id": f"{record.uid}:{record.status}",
            "uid": record.uid,
            "tenant": record.tenant,
            "status": record.status.value,
            "model": record.model,
            "task": (record.input or {}).get("task"),
            "attempts": record.attempt,
            "retry_of": record.retry_of,
            "metadata": dict(record.metadata),
            "outputs": [output.model_dump(exclude={"url"}) for output in outcome.outputs],
            "error": outcome.error.model_dump(mode="json") if outcome.error else None,
            "warnings": list(outcome.warnings),
            "trace": record.trace,
            # Not the URL: a notice goes to every subscriber, and it may hold a secret.
            "callback": record.callback is not None,
        },
    )


def announce(table: Table, notices: Topic, record: Record, *, bucket: str, now_ms: int) -> Record:
    """Publish the notice of a job that has ended, then note when.

    A crash between the two announces it twice, with the same event id.
    """
    notice = notice_of(record, bucket=bucket)
    notices.publish(notice.encode(), notice.attributes())
    noted: dict[str, int | str] = {"notified_at": now_ms}
    if is_to_call(record):
        # The notice is on its way to the webhooks' queue too; if it is lost the sweeper knows.
        noted |= {"due": FLAG, "due_at": now_ms + ON_ITS_WAY_MS}
    change = Change(require=[Require("pk", "present")], set=noted, remove=["unannounced"])
    try:
        return Record.from_item(table.update(job_key(record.uid), change))
    except ConditionFailed:
        return record
