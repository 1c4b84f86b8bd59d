"""What can be wrong with a job.

JobsError
├── InvalidJob            the request or message cannot be a job; `faults` say why
│   ├── UnknownRuntime    no such runtime in runtimes.yaml
│   └── UnknownModel      the runtime has no such model
├── NewerSchema           written by a newer release; a newer reader must take it
├── IllegalTransition     a status change that the lifecycle does not have
└── InvalidCatalogue      runtimes.yaml contradicts itself
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong, and where: `pointer` is an RFC 6901 JSON pointer."""

    pointer: str
    detail: str


class JobsError(Exception):
    """Base of everything that `jobs` raises."""


class InvalidJob(JobsError):
    """The job is not valid; correct the fields that `faults` name and send it again."""

    code = "invalid_input"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{f.pointer or '/'}: {f.detail}" for f in self.faults))

    @classmethod
    def from_validation(cls, error: ValidationError, *, within: str = "") -> "InvalidJob":
        """Translate pydantic's report: the only place where that is done."""
        return cls([faults_entry(item["loc"], item["msg"], within) for item in error.errors()])


class UnknownRuntime(InvalidJob):
    """There is no such runtime; GET /v1/models lists those that exist."""

    code = "unknown_runtime"


class UnknownModel(InvalidJob):
    """The runtime does not have this model; GET /v1/models lists those that exist."""

    code = "unknown_model"


class NewerSchema(JobsError):
    """The message was written by a newer release; leave it to a reader that knows it."""


class IllegalTransition(JobsError):
    """The lifecycle has no such edge; see `jobs.status.EDGES`."""


class InvalidCatalogue(JobsError):
    """runtimes.yaml cannot be used; the message names the entry to correct."""


# Names that pydantic puts into `loc` for the branches of the input union; they are not
# part of the document, so they have no place in a JSON pointer.
_UNION_TAGS = frozenset({"text-to-image", "image-to-image", "inpaint"})


def faults_entry(loc: Sequence[int | str], message: str, within: str = "") -> Fault:
    """A `Fault` for pydantic's location `loc`, below the pointer `within`."""
    steps = [str(step) for step in loc if step not in _UNION_TAGS]
    escaped = (step.replace("~", "~0").replace("/", "~1") for step in steps)
    return Fault(pointer=within + "".join(f"/{step}" for step in escaped), detail=message)
