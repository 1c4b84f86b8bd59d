"""A lab with a job queue that its user fills, past the API."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from jobs.inputs import TextToImage
from jobs.job import Job
from jobs.message import Message
from jobs.uid import new_uid
from records.accept import accept
from records.aws import S3Store, SnsTopic, SqsQueue
from records.clock import now_ms
from records.dynamo import DynamoTable
from records.queue import Queue
from records.record import Record, job_key
from records.store import ObjectStore
from records.table import Table
from records.topic import Topic
from tests.faults.lab import Lab

_SEEDS = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the jobs of a lab lie in."""

    lab: Lab
    table: Table
    store: ObjectStore
    notices: Topic
    queue: Queue

    @classmethod
    def of(cls, lab: Lab) -> Self:
        """In good weather."""
        return cls(
            lab=lab,
            table=DynamoTable(lab.client("dynamodb"), lab.cloud.table),
            store=S3Store(lab.client("s3"), lab.cloud.bucket),
            notices=SnsTopic(lab.client("sns"), lab.cloud.notices_topic_arn),
            queue=SqsQueue(lab.client("sqs"), lab.cloud.queues["demo"].jobs),
        )

    def accepted(self) -> Job:
        """A job with a record and without a message."""
        uid = new_uid()
        job = Job(
            uid=uid,
            id=uid,
            runtime="demo",
            model="tiny",
            input=TextToImage(prompt="a red circle on a blue background", seed=next(_SEEDS)),
            prefix="default",
            created_at=datetime.now(UTC),
        )
        accept(self.table, self.store, job, fingerprint="f", republish_at=now_ms() + 10**9)
        return job

    def send(self, job: Job) -> None:
        """Its message, into the queue."""
        self.queue.send(Message(uid=job.uid, job=job).encode())

    def submit(self) -> str:
        """A job in the queue; its uid."""
        job = self.accepted()
        self.send(job)
        return job.uid

    def record(self, uid: str) -> Record:
        """The record as it is now."""
        item = self.table.get(job_key(uid))
        assert item is not None
        return Record.from_item(item)
