"""The job: what a client asks for, what we keep of it, and how it travels."""

import hashlib
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    UrlConstraints,
    ValidationError,
    model_validator,
)

from jobs.catalogue import Catalogue
from jobs.errors import Fault, InvalidJob, NewerSchema
from jobs.inputs import JobInput
from jobs.uid import derived_seed

#: Raised only when an older reader would misunderstand a newer message. Optional additions
#: leave it as it is: readers ignore fields that they do not know.
SCHEMA_VERSION = 1

#: A client's label. It becomes part of S3 keys and URLs, so it is plain.
LABEL_PATTERN = r"^[A-Za-z0-9_-]{1,128}$"
Label = Annotated[str, Field(pattern=LABEL_PATTERN)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]

#: Beyond these a moment cannot be shown in every time zone.
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


_HTTPS = TypeAdapter(
    Annotated[AnyUrl, UrlConstraints(allowed_schemes=["https"], host_required=True)]
)


def _may_be_called(text: str) -> str:
    """A URL of the form that the bridge calls; where it leads is judged when it does."""
    url = _HTTPS.validate_python(text)
    if url.username is not None or url.password is not None:
        raise ValueError("must not name a user")
    if url.port != 443:
        raise ValueError("must not name a port")
    return text


Callback = Annotated[str, Field(max_length=2048), AfterValidator(_may_be_called)]


class Priority(StrEnum):
    """Which queue a job waits in, and who goes first within a replica."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Family(StrEnum):
    """The family of routes that a job came in by."""

    V1 = "v1"
    #: Straight to the topic, past the API.
    TOPIC = "topic"

    @property
    def ids_are_unique(self) -> bool:
        """Whether a client's id stands for one job; else it may be used again and again.

        Who sends past the API cannot be told that an id is taken.
        """
        return self is Family.V1


class JobRequest(BaseModel):
    """What a client posts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Label | None = Field(default=None, description="your own id; the same id is the same job")
    runtime: str | None = None
    model: str | None = None
    input: JobInput
    priority: Priority = Priority.INTERACTIVE
    deterministic: bool = Field(default=False, description="bit-identical on the same hardware")
    callback: Callback | None = Field(
        default=None, description="an https:// URL that is called when the job has ended"
    )
    deadline: Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)] | None = Field(
        default=None, description="not started by then, the job expires"
    )
    metadata: Metadata = {}

    @model_validator(mode="before")
    @classmethod
    def _text_to_image_unless_said(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("input"), dict):
            return {**data, "input": {"task": "text-to-image", **data["input"]}}
        return data

    def fingerprint(self) -> str:
        """SHA-256 of what was asked for: the same id with another fingerprint is a conflict."""
        # Without defaults: a release that adds a field must not make old jobs look new.
        asked = self.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Job(BaseModel):
    """An accepted job. Its fields do not change; what becomes of it is in the record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    #: UUIDv7, ours: the record's key.
    uid: str
    #: The client's label, or the uid.
    id: str
    tenant: str = "default"
    family: Family = Family.V1
    runtime: str
    model: str
    input: JobInput
    priority: Priority = Priority.INTERACTIVE
    deterministic: bool = False
    callback: str | None = None
    deadline: AwareDatetime | None = None
    metadata: dict[str, str] = {}
    #: Any JSON, echoed in notices (the guidance's clients send it).
    context: Any = None
    #: The first part of the outputs' S3 keys.
    prefix: str
    #: W3C traceparent.
    trace: str | None = None
    retry_of: str | None = None
    created_at: AwareDatetime

    @classmethod
    def of_request(
        cls,
        request: JobRequest,
        *,
        uid: str,
        tenant: str,
        family: Family,
        catalogue: Catalogue,
        trace: str | None = None,
        now: datetime | None = None,
    ) -> Self:
        """The job that `request` becomes; `InvalidJob` if its model does not allow it."""
        runtime, model = catalogue.route(request.runtime, request.model)
        resolved = catalogue.model(runtime, model).resolve(request.input)
        kept = request.model_dump(exclude={"id", "runtime", "model", "input"})
        return cls(
            uid=uid,
            id=request.id or uid,
            tenant=tenant,
            family=family,
            runtime=runtime,
            model=model,
            input=resolved,
            prefix=tenant,
            trace=trace,
            created_at=now or datetime.now(UTC),
            **kept,
        )

    @property
    def seed(self) -> int:
        """The seed of the first image; image k has `seed + k`."""
        return derived_seed(self.uid) if self.input.seed is None else self.input.seed

    def encode(self) -> bytes:
        """UTF-8 JSON, without the fields that are not set."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def decode(cls, data: bytes | str) -> Self:
        """Read what `encode` wrote, also by a newer release of the same major version.

        Raises `NewerSchema` for a newer major version, `InvalidJob` for anything else that
        is not a job.
        """
        try:
            refuse_newer(json.loads(data))
            return cls.model_validate_json(data, extra="ignore")
        except ValidationError as error:
            raise InvalidJob.from_validation(error) from error
        except (ValueError, RecursionError) as error:
            raise InvalidJob([Fault(pointer="", detail=f"not JSON: {error}")]) from error


def refuse_newer(document: Any) -> None:
    """Raise `NewerSchema` if a newer major version wrote `document`."""
    if not isinstance(document, dict):
        return
    version = document.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerSchema(f"schema_version is {version}, this release reads {SCHEMA_VERSION}")
