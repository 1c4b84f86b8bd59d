"""What a bridge works on: its queues, the table, the bucket and the topic."""

from dataclasses import dataclass
from typing import Self

from bridge.settings import BridgeSettings
from records.aws import S3Reader, S3Store, SnsTopic, SqsQueue
from records.connect import connect
from records.dynamo import DynamoTable
from records.queue import Queue
from records.store import ObjectReader, ObjectStore
from records.table import Table
from records.topic import Topic


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """Given to a bridge; whoever wants to see what it does wraps them."""

    queue: Queue
    #: The same queue over connections of its own: a long poll must not hold up a heartbeat.
    beats: Queue
    parked: Queue
    table: Table
    store: ObjectStore
    objects: ObjectReader
    notices: Topic

    @classmethod
    def on_aws(cls, settings: BridgeSettings) -> Self:
        """The real ones."""
        sqs, s3 = connect("sqs"), connect("s3")
        return cls(
            queue=SqsQueue(connect("sqs", long_poll=True), settings.queue_url),
            beats=SqsQueue(sqs, settings.queue_url),
            parked=SqsQueue(sqs, settings.parked_queue_url),
            table=DynamoTable(connect("dynamodb"), settings.table),
            store=S3Store(s3, settings.bucket),
            objects=S3Reader(s3),
            notices=SnsTopic(connect("sns"), settings.notices_topic_arn),
        )
