"""The lines that Serve answers to a bridge: one JSON object each.

`accepted`, then any number of `progress` and `image`, then exactly one of `result`, `error`
and `canceled`. A stream that ends without one of these three did not end: its replica died.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from jobs.status import ErrorCode

#: Of a request to `POST /generate`: "1" asks for the device without other jobs, after an attempt
#: that had too little memory beside them.
ALONE_HEADER = "x-darkroom-alone"


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)


class Accepted(_Event):
    """A replica has taken the job: from here an attempt counts."""

    event: Literal["accepted"] = "accepted"
    replica: str


class Progress(_Event):
    """The stage (`encode`, `denoise`, `decode`) and how far it is."""

    event: Literal["progress"] = "progress"
    stage: str
    step: int = 0
    total: int = 0


class Image(_Event):
    """One finished image; `data` is base64."""

    event: Literal["image"] = "image"
    index: int
    media_type: str
    width: int
    height: int
    seed: int
    sha256: str
    data: str


class Result(_Event):
    """All images were sent. `timings` are seconds per stage."""

    event: Literal["result"] = "result"
    images: int
    warnings: tuple[str, ...] = ()
    timings: dict[str, float] = {}


class Error(_Event):
    """The job failed. `retryable`: another attempt may succeed."""

    event: Literal["error"] = "error"
    code: ErrorCode
    message: str
    retryable: bool = False


class Canceled(_Event):
    """The job was stopped before it was done."""

    event: Literal["canceled"] = "canceled"


LAST_EVENTS = (Result, Error, Canceled)

Event = Annotated[
    Accepted | Progress | Image | Result | Error | Canceled, Field(discriminator="event")
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Capacity(_Event):
    """What Serve can take: the answer of `GET /capacity`."""

    replicas_ready: int
    replicas_wanted: int
    #: Jobs that one replica admits at once.
    admit_window: int
    #: Jobs that replicas have or wait for.
    in_flight: int
    #: Why no replica can start, if none can.
    load_error: str | None = None

    @property
    def free(self) -> int:
        """How many more jobs would be admitted now."""
        return max(0, self.replicas_ready * self.admit_window - self.in_flight)
