"""The routes of `/v1`."""

import re
import uuid
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request, Response

from api.access import TheBackend, TheTenant
from api.backend import Backend
from api.problems import Refusal
from api.views import job_view
from jobs.job import Family, Job, JobRequest
from jobs.logs import log_transition
from jobs.schema import parameters
from jobs.status import Status
from jobs.uid import new_uid
from jobs.view import JobPage, JobView, ModelPage, ModelView, Problem
from records.accept import accept, find, republish_moment
from records.announce import announce
from records.errors import Unavailable
from records.finish import cancel, erase
from records.publish import publish
from records.record import Record, load_job
from records.table import Page

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
#: Seconds until it is worth looking again at a job that has not ended.
_RETRY_AFTER_S = 1

_REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}}
    for status in (400, 403, 404, 409, 413, 422, 503)
}
router = APIRouter(prefix="/v1", responses=_REFUSALS)


@router.post("/jobs", status_code=202)
def submit(
    wanted: JobRequest, request: Request, response: Response, backend: TheBackend, tenant: TheTenant
) -> JobView:
    """Accept a job. The same `id` with the same body is the same job."""
    trace = request.headers.get("traceparent", "")
    job = Job.of_request(
        wanted,
        uid=new_uid(),
        tenant=tenant,
        family=Family.V1,
        catalogue=backend.catalogue,
        trace=trace if _TRACEPARENT.fullmatch(trace) else None,
        now=backend.clock(),
    )
    acceptance = accept(
        backend.table,
        backend.store,
        job,
        fingerprint=wanted.fingerprint(),
        republish_at=republish_moment(backend.now_ms(), retention_s=backend.queue_retention_s),
    )
    record = acceptance.record
    if acceptance.created:
        log_transition("accepted", job, attempt=0)
    if record.published_at is None and record.status is Status.QUEUED:
        record = _publish(backend, job if acceptance.created else load_job(record, backend.store))
    # Behind API Gateway the app lies below its stage.
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/jobs/{record.uid}"
    if not record.ended:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return job_view(record, backend)


def _publish(backend: Backend, job: Job) -> Record:
    """Publish an accepted job. If that fails it stays accepted: the sweeper publishes it."""
    try:
        record = publish(backend.table, backend.store, backend.jobs, job, now_ms=backend.now_ms())
    except Unavailable as error:
        structlog.get_logger().warning("not published", uid=job.uid, reason=str(error))
        record = None
    else:
        log_transition("published", job, attempt=0)
    return record or _found(backend, job.tenant, job.uid)


@router.get("/jobs")
def list_jobs(
    backend: TheBackend,
    tenant: TheTenant,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: str | None = None,
) -> JobPage:
    """Your jobs, newest first."""
    page = _page(backend, tenant, limit=limit, cursor=cursor)
    records = [Record.from_item(item) for item in page.items]
    return JobPage(
        data=tuple(
            job_view(record, backend) for record in records if status in (None, record.status)
        ),
        next_cursor=page.cursor,
    )


def _page(backend: Backend, tenant: str, *, limit: int, cursor: str | None) -> Page:
    try:
        return backend.table.query(
            "by-tenant", tenant, newest_first=True, limit=limit, cursor=cursor
        )
    except ValueError:
        raise Refusal(400, "invalid_parameter", "cursor: take it from next_cursor") from None


@router.get("/jobs/{name}")
def get_job(name: str, response: Response, backend: TheBackend, tenant: TheTenant) -> JobView:
    """A job, by its uid or by your id."""
    record = _found(backend, tenant, name)
    if not record.ended:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return job_view(record, backend)


@router.post("/jobs/{name}/cancel")
def cancel_job(name: str, backend: TheBackend, tenant: TheTenant) -> JobView:
    """Stop a job: at once if it is queued, after the current step if it runs."""
    record = _found(backend, tenant, name)
    if record.ended:
        return job_view(record, backend)
    done = cancel(backend.table, record.uid, nonce=uuid.uuid4().hex, now_ms=backend.now_ms())
    record = done.record
    if done.won:
        log_transition("canceled", record, attempt=record.attempt)
        record = _announced(record, backend)
    return job_view(record, backend)


@router.delete("/jobs/{name}", status_code=204)
def delete_job(name: str, backend: TheBackend, tenant: TheTenant) -> None:
    """Remove a job's images and what it was asked; that it was there stays known."""
    record = _found(backend, tenant, name)
    if record.deleted_at is not None:
        return
    if record.ended and record.notified_at is None:
        # Its notice must name the images; after this nobody could. If it cannot be sent the
        # job stays.
        record = _announce(record, backend)
    erase(backend.table, backend.store, record, now_ms=backend.now_ms())


@router.get("/models")
def list_models(backend: TheBackend, tenant: TheTenant) -> ModelPage:
    """The models, with a JSON Schema of the `input` that each takes, by task."""
    return ModelPage(
        data=tuple(
            ModelView(
                id=name,
                runtime=runtime_name,
                default=name == runtime.model_name(None),
                tasks=tuple(task.value for task in model.tasks),
                parameters=parameters(model),
            )
            for runtime_name, runtime in backend.catalogue.runtimes.items()
            for name, model in runtime.models.items()
        )
    )


def _found(backend: Backend, tenant: str, name: str) -> Record:
    record = find(backend.table, tenant=tenant, name=name, family=Family.V1)
    if record is None:
        # The same answer for somebody else's job: ids must not be guessable.
        raise Refusal(404, "not_found", "you have no job of this id")
    return record


def _announce(record: Record, backend: Backend) -> Record:
    bucket, now_ms = backend.store.bucket, backend.now_ms()
    return announce(backend.table, backend.notices, record, bucket=bucket, now_ms=now_ms)


def _announced(record: Record, backend: Backend) -> Record:
    """Announce what this call has ended. If that fails the sweeper does it."""
    try:
        return _announce(record, backend)
    except Unavailable as error:
        structlog.get_logger().warning("not announced", uid=record.uid, reason=str(error))
        return record
