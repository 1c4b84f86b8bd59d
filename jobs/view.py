"""A job as the API shows it: the answer of `GET /v1/jobs/{id}`."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.job import Priority
from jobs.outcome import Failure, Output
from jobs.status import TERMINAL, Status


class _View(BaseModel):
    # Clients ignore what a newer server adds.
    model_config = ConfigDict(frozen=True)


class ProgressView(_View):
    """How far the job is: `stage` of generation, and steps within it."""

    stage: str | None = None
    step: int = 0
    total: int = 0


class TimeView(_View):
    """When the job passed each point; absent until then. Stages are by the replica's names."""

    accepted: datetime
    published: datetime | None = None
    leased: datetime | None = None
    started: datetime | None = None
    stages: dict[str, datetime] = {}
    uploaded: datetime | None = None
    recorded: datetime | None = None
    notified: datetime | None = None


class LinkView(_View):
    """Where to go from here; paths below the API's root."""

    get: str
    cancel: str


class JobView(_View):
    """A job and what has become of it."""

    object: Literal["job"] = "job"
    uid: str
    id: str
    status: Status
    runtime: str
    model: str
    priority: Priority
    #: As accepted, pictures replaced by their hash; absent once the job was deleted.
    input: dict[str, Any] | None
    metadata: dict[str, str] = {}
    deadline: datetime | None = None
    #: The uid of the job that this one takes the place of.
    retry_of: str | None = None
    attempts: int = 0
    progress: ProgressView = ProgressView()
    outputs: tuple[Output, ...] = ()
    error: Failure | None = None
    warnings: tuple[str, ...] = ()
    #: Seconds per stage in the replica.
    timings: dict[str, float] = {}
    times: TimeView
    cancel_requested: bool = False
    deleted: bool = False
    urls: LinkView

    @property
    def done(self) -> bool:
        """Whether the job has ended, one way or another."""
        return self.status in TERMINAL


class JobPage(_View):
    """One page of a tenant's jobs, newest first.

    A page may hold fewer than `limit` jobs, even none, while `next_cursor` says that there
    are more: a filter on `status` is applied to each page after it was read.
    """

    object: Literal["list"] = "list"
    data: tuple[JobView, ...]
    next_cursor: str | None = Field(default=None, description="pass as ?cursor= for the next page")


class ModelView(_View):
    """A model and the parameters that it takes, as JSON Schema per task."""

    object: Literal["model"] = "model"
    id: str
    runtime: str
    default: bool
    tasks: tuple[str, ...]
    parameters: dict[str, dict[str, Any]]


class ModelPage(_View):
    """All models of this installation."""

    object: Literal["list"] = "list"
    data: tuple[ModelView, ...]


class FaultView(_View):
    """One fault of a request: a JSON pointer into its body, and a sentence."""

    pointer: str
    detail: str


class Problem(_View):
    """RFC 9457 problem details; `code` is for programs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    errors: tuple[FaultView, ...] = ()
