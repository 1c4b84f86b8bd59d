"""What is published for a job: the job itself, or where it lies when it is too large."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from jobs.errors import Fault, InvalidJob
from jobs.job import SCHEMA_VERSION, Job, JobRequest, refuse_newer

#: SNS refuses more than 256 KB, attributes and the SQS envelope included.
MAX_INLINE_BYTES = 240_000


class Reference(BaseModel):
    """A job in the bucket: its key, and the SHA-256 of the bytes that must lie there."""

    model_config = ConfigDict(frozen=True)

    key: str
    sha256: str


class Message(BaseModel):
    """The body of one message on the input topic: exactly one of its three forms.

    `job` and `reference` are ours; `request` was sent straight to the topic by somebody
    who has no record with us yet.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    uid: str | None = None
    job: Job | None = None
    reference: Reference | None = None
    request: JobRequest | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if [self.job, self.reference, self.request].count(None) != 2:
            raise ValueError("must be exactly one of job, reference and request")
        return self

    def encode(self) -> str:
        """JSON text as published."""
        # ASCII: SQS refuses some characters that JSON allows.
        return self.model_dump_json(exclude_none=True, ensure_ascii=True)

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a message body; `NewerSchema` or `InvalidJob` as `Job.decode`."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidJob([Fault(pointer="", detail=f"not JSON: {error}")]) from error
        if not isinstance(document, dict):
            raise InvalidJob([Fault(pointer="", detail="not a JSON object")])
        refuse_newer(document)
        if "job" in document:
            refuse_newer(document["job"])
        elif "reference" not in document:
            # A bare request: what a client would post to /v1/jobs.
            document = {"request": document}
        try:
            return cls.model_validate_json(json.dumps(document), extra="ignore")
        except ValidationError as error:
            raise InvalidJob.from_validation(error) from error
