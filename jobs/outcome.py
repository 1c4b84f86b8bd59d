"""What became of a job."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from jobs.status import ErrorCode, Status


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class ImageOutput(_Value):
    """One image in the bucket. `url` is presigned when the job is read, never stored."""

    type: Literal["image"] = "image"
    key: str
    media_type: str
    sha256: str
    bytes: int
    width: int
    height: int
    seed: int
    url: str | None = None


#: Video and document join it later as a union told apart by `type`.
Output = ImageOutput


class Failure(_Value):
    """Why a job did not succeed: a code for programs, a sentence for people."""

    code: ErrorCode
    message: str


class Outcome(_Value):
    """The terminal part of a record."""

    status: Status
    outputs: tuple[Output, ...] = ()
    error: Failure | None = None
    warnings: tuple[str, ...] = ()
    #: The `.out` document's key, if one was written.
    document_key: str | None = None
    #: Seconds that each stage took in the replica.
    timings: dict[str, float] = {}

    @classmethod
    def failed(cls, code: ErrorCode, message: str) -> "Outcome":
        """The outcome of a job that failed."""
        return cls(status=Status.FAILED, error=Failure(code=code, message=message))

    @classmethod
    def canceled(cls) -> "Outcome":
        """The outcome of a job that its client canceled."""
        return cls(status=Status.CANCELED)

    @classmethod
    def expired(cls) -> "Outcome":
        """The outcome of a job whose deadline passed."""
        failure = Failure(code=ErrorCode.DEADLINE_EXCEEDED, message="the deadline has passed")
        return cls(status=Status.EXPIRED, error=failure)
