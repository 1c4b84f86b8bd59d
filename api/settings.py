"""What the API is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from jobs.catalogue import Catalogue
from jobs.environment import number, read_catalogue, required
from records.keys import KeyRing
from records.queue import RETENTION_S


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The API's settings."""

    table: str
    bucket: str
    jobs_topic_arn: str
    notices_topic_arn: str
    keys: KeyRing
    catalogue: Catalogue
    #: How long the queues keep a message, in seconds.
    queue_retention_s: int
    #: How long a presigned URL works, in seconds.
    url_expires_s: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read and check all of them; `BadSetting` names the variable."""
        return cls(
            table=required(environ, "DARKROOM_JOB_TABLE"),
            bucket=required(environ, "DARKROOM_BUCKET"),
            jobs_topic_arn=required(environ, "DARKROOM_JOBS_TOPIC_ARN"),
            notices_topic_arn=required(environ, "DARKROOM_NOTICES_TOPIC_ARN"),
            keys=KeyRing.from_json(environ.get("DARKROOM_API_KEYS", "")),
            catalogue=read_catalogue(environ),
            queue_retention_s=int(
                number(environ, "DARKROOM_QUEUE_RETENTION_S", RETENTION_S, least=60)
            ),
            url_expires_s=int(number(environ, "DARKROOM_URL_EXPIRES_S", 3600, least=1)),
        )
