"""Errors as RFC 9457 problem details. What a library raises is translated here, once."""

import traceback
from collections.abc import Sequence

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import InvalidJob, faults_entry
from jobs.view import FaultView, Problem
from records.errors import IdInUse, NotDone, Unavailable

MEDIA_TYPE = "application/problem+json"

#: Codes of refusals that have no exception of their own.
#: 400 is FastAPI's for a body that it cannot decode at all.
_CODES = {
    400: "malformed_json",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}


class Refusal(Exception):
    """A request that is refused with this status and code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status = status
        self.code = code
        super().__init__(detail)


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    faults: Sequence[FaultView] = (),
    retry_after_s: int | None = None,
) -> JSONResponse:
    """A refusal: a status for HTTP, a code for programs, a sentence for people."""
    problem = Problem(
        type=f"urn:darkroom:problem:{code}",
        title=code.replace("_", " "),
        status=status,
        detail=detail,
        code=code,
        errors=tuple(faults),
    )
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return JSONResponse(
        problem.model_dump(mode="json", exclude_none=True),
        status_code=status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def install_problems(app: FastAPI) -> None:
    """Let `app` answer every error as a problem."""

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        if any(item["type"] == "json_invalid" for item in found):
            return problem_response(400, "malformed_json", "the body is not JSON")
        if not all(item["loc"][0] == "body" for item in found):
            names = ", ".join(str(item["loc"][-1]) + ": " + item["msg"] for item in found)
            return problem_response(400, "invalid_parameter", names)
        faults = [faults_entry(item["loc"][1:], item["msg"]) for item in found]
        return _invalid("invalid_input", [FaultView(**vars(fault)) for fault in faults])

    @app.exception_handler(InvalidJob)
    async def invalid(request: Request, error: InvalidJob) -> JSONResponse:
        return _invalid(error.code, [FaultView(**vars(fault)) for fault in error.faults])

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return problem_response(error.status, error.code, str(error))

    @app.exception_handler(IdInUse)
    async def id_in_use(request: Request, error: IdInUse) -> JSONResponse:
        return problem_response(409, "id_in_use", str(error))

    @app.exception_handler(NotDone)
    async def not_done(request: Request, error: NotDone) -> JSONResponse:
        return problem_response(409, "not_done", str(error))

    @app.exception_handler(Unavailable)
    async def unavailable(request: Request, error: Unavailable) -> JSONResponse:
        structlog.get_logger().warning("unavailable", reason=str(error))
        return problem_response(503, "unavailable", "try again shortly", retry_after_s=1)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "http_error")
        answer = problem_response(error.status_code, code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer


class Unforeseen:
    """ASGI middleware: a bug of ours is a 500 that quotes nothing.

    No exception handler can do it: Starlette raises such an exception again after the answer,
    and uvicorn and Mangum log it whole; its message may quote what the client sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the app if it fails before it has answered itself."""
        answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        # The last resort: what nobody foresaw is logged here, and never shown to the caller.
        except Exception as error:
            if scope["type"] != "http":
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            structlog.get_logger().error(
                "unforeseen", kind=type(error).__name__, where=f"{where.filename}:{where.lineno}"
            )
            if not answered:
                answer = problem_response(500, "internal", "this is our fault and has been logged")
                await answer(scope, receive, send)


def _invalid(code: str, faults: Sequence[FaultView]) -> JSONResponse:
    detail = "; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults)
    return problem_response(422, code, detail, faults=faults)
