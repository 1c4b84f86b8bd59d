"""The notice that tells subscribers how a job ended.

Seven keys at top level with the names and values of AWS's guidance, so that its clients
read it unchanged; ours under `job`.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Notice(BaseModel):
    """One terminal notice. It may be sent more than once; `event_id` stays the same."""

    model_config = ConfigDict(frozen=True)

    runtime: str
    id: str
    result: bool
    #: `completed` or `failed`: the guidance knows no other.
    status: str
    image_url: list[str]
    output_url: str | None
    context: Any
    job: dict[str, Any]

    @property
    def event_id(self) -> str:
        return str(self.job["event_id"])

    def encode(self) -> str:
        """JSON text as published."""
        # ASCII: SQS refuses some characters that JSON allows.
        return self.model_dump_json(ensure_ascii=True)

    def attributes(self) -> dict[str, str]:
        """Message attributes, for subscribers' filter policies."""
        attributes = {
            "event": f"job.{self.job['status']}",
            "status": self.status,
            "runtime": self.runtime,
            "tenant": str(self.job["tenant"]),
        }
        # Only these go to the webhooks' queue: a job without a callback wakes no worker.
        return attributes | ({"webhook": "yes"} if self.job.get("callback") else {})
