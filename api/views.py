"""Records as the API shows them."""

from datetime import UTC, datetime

from api.backend import Backend
from jobs.job import Priority
from jobs.outcome import Output
from jobs.view import JobView, LinkView, ProgressView, TimeView
from records.record import Record


def job_view(record: Record, backend: Backend) -> JobView:
    """The view of a record, its outputs with URLs that were presigned just now."""
    outcome = record.outcome
    return JobView(
        uid=record.uid,
        id=record.id,
        status=record.status,
        runtime=record.runtime,
        model=record.model,
        priority=Priority(record.priority),
        input=dict(record.input) if record.input is not None else None,
        metadata=dict(record.metadata),
        deadline=_moment(record.deadline),
        retry_of=record.retry_of,
        attempts=record.attempt,
        progress=ProgressView(stage=record.stage, step=record.step, total=record.total),
        outputs=tuple(_with_url(output, backend) for output in outcome.outputs) if outcome else (),
        error=outcome.error if outcome else None,
        warnings=outcome.warnings if outcome else (),
        timings=outcome.timings if outcome else {},
        times=_times(record),
        cancel_requested=record.cancel_requested,
        deleted=record.deleted_at is not None,
        urls=LinkView(get=f"/v1/jobs/{record.uid}", cancel=f"/v1/jobs/{record.uid}/cancel"),
    )


def _with_url(output: Output, backend: Backend) -> Output:
    url = backend.store.presign(output.key, expires_s=backend.url_expires_s)
    return output.model_copy(update={"url": url})


def _times(record: Record) -> TimeView:
    accepted = _moment(record.created_at)
    assert accepted is not None
    return TimeView(
        accepted=accepted,
        published=_moment(record.published_at),
        leased=_moment(record.leased_at),
        started=_moment(record.started_at),
        stages={name: datetime.fromtimestamp(ms / 1000, UTC) for name, ms in record.stages.items()},
        uploaded=_moment(record.uploaded_at),
        recorded=_moment(record.terminal_at),
        notified=_moment(record.notified_at),
    )


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
