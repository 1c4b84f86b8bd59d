"""Refusals as RFC 9457 problem details."""

from http import HTTPStatus

from fastapi.responses import Response

from jobs.errors import InvalidJob
from jobs.view import FaultView, Problem


def problem(
    status: HTTPStatus,
    *,
    code: str,
    detail: str,
    faults: InvalidJob | None = None,
    retry_after_s: int | None = None,
) -> Response:
    """An answer that says why a job was not taken, and when to send it again."""
    body = Problem(
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        errors=tuple(
            FaultView(pointer=fault.pointer, detail=fault.detail)
            for fault in (faults.faults if faults else ())
        ),
    )
    return Response(
        body.model_dump_json(exclude_none=True),
        status_code=status,
        media_type="application/problem+json",
        headers={} if retry_after_s is None else {"retry-after": str(retry_after_s)},
    )


def invalid(error: InvalidJob) -> Response:
    """400: the body is not a job; 422: it is one, but not for this runtime or its models."""
    status = (
        HTTPStatus.BAD_REQUEST if error.code == InvalidJob.code else HTTPStatus.UNPROCESSABLE_ENTITY
    )
    return problem(status, code=error.code, detail=str(error), faults=error)
