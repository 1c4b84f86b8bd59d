"""What the routes work on: the table, the bucket and the two topics."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from api.settings import ApiSettings
from jobs.catalogue import Catalogue
from records.aws import S3Store, SnsTopic
from records.connect import connect
from records.dynamo import DynamoTable
from records.keys import KeyRing
from records.store import ObjectStore
from records.table import Table
from records.topic import Topic


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Given to the app; fakes fit as well."""

    table: Table
    store: ObjectStore
    jobs: Topic
    notices: Topic
    catalogue: Catalogue
    keys: KeyRing
    queue_retention_s: int
    url_expires_s: int
    clock: Callable[[], datetime] = _now

    @classmethod
    def on_aws(cls, settings: ApiSettings) -> Self:
        """The real ones."""
        sns = connect("sns")
        return cls(
            table=DynamoTable(connect("dynamodb"), settings.table),
            store=S3Store(connect("s3"), settings.bucket),
            jobs=SnsTopic(sns, settings.jobs_topic_arn),
            notices=SnsTopic(sns, settings.notices_topic_arn),
            catalogue=settings.catalogue,
            keys=settings.keys,
            queue_retention_s=settings.queue_retention_s,
            url_expires_s=settings.url_expires_s,
        )

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.clock().timestamp() * 1000)
