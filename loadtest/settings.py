"""What a run is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from jobs.environment import required


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where jobs are posted, and where their notices arrive."""

    api_url: str
    api_key: str | None = field(default=None, repr=False)
    #: A queue that is subscribed to the notices topic and that nobody else reads. AWS's
    #: endpoint and region are boto3's own business.
    notice_queue_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; `BadSetting` names the variable to correct."""
        return cls(
            api_url=required(environ, "DARKROOM_API_URL"),
            api_key=environ.get("DARKROOM_API_KEY") or None,
            notice_queue_url=required(environ, "DARKROOM_NOTICE_QUEUE_URL"),
        )
