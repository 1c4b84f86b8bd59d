"""One line per transition of a job, the same in every process.

A line carries ids only: no key, prompt or body may reach a log.
"""

import sys
from collections.abc import Mapping
from typing import Protocol

import structlog


def configure_logs(environ: Mapping[str, str], *, process: str) -> None:
    """Log to stderr: `DARKROOM_LOG=json` for machines, anything else for people."""
    as_json = environ.get("DARKROOM_LOG") == "json"
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


class Traceable(Protocol):
    """What a line says of its job: a `Job` or a record."""

    @property
    def uid(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def runtime(self) -> str: ...
    @property
    def trace(self) -> str | None: ...


def job_log(job: Traceable) -> structlog.typing.FilteringBoundLogger:
    """A log whose lines name the job."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log.bind(uid=job.uid, tenant=job.tenant, runtime=job.runtime, trace=job.trace)


def log_transition(transition: str, job: Traceable, *, attempt: int, **more: object) -> None:
    """Log that `job` passed `transition`; `more` are ids and figures, never content."""
    job_log(job).info(transition, attempt=attempt, **more)
