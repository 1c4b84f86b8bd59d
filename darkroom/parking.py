"""Where a runtime's parked messages lie, on AWS or here: found by variables or by state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from darkroom.errors import NoStack
from darkroom.state import read_state
from jobs.environment import number, required
from records.aws import S3Store, SnsTopic, SqsQueue
from records.connect import connect
from records.dynamo import DynamoTable
from records.queue import RETENTION_S, Queue
from records.store import ObjectStore
from records.table import Table
from records.topic import Topic


@dataclass(frozen=True, kw_only=True)
class Parking:
    """One runtime's parked messages, and what it takes to send them again."""

    parked: Queue
    table: Table
    store: ObjectStore
    jobs: Topic
    retention_s: float

    @classmethod
    def find(cls, runtime: str | None, environ: Mapping[str, str]) -> Self:
        """As the environment says, else the stack that is up."""
        if environ.get("DARKROOM_PARKED_QUEUE_URL"):
            return cls.of(environ, connect)
        state = read_state()
        operator, parked = state.get("operator"), state.get("parked")
        if not isinstance(operator, dict) or not isinstance(parked, dict):
            raise NoStack(
                "no queue is known: start `darkroom up`, or set DARKROOM_PARKED_QUEUE_URL"
            )
        name = runtime or next(iter(parked))
        if name not in parked:
            raise NoStack(f"the stack has no runtime {name!r}: {', '.join(sorted(parked))}")

        return cls.of(
            operator | {"DARKROOM_PARKED_QUEUE_URL": parked[name]}, local_client(operator)
        )

    @classmethod
    def of(cls, environ: Mapping[str, str], client: Any) -> Self:
        """With the names in `environ`; `client` gives the boto3 client of a service."""
        return cls(
            parked=SqsQueue(client("sqs"), required(environ, "DARKROOM_PARKED_QUEUE_URL")),
            table=DynamoTable(client("dynamodb"), required(environ, "DARKROOM_JOB_TABLE")),
            store=S3Store(client("s3"), required(environ, "DARKROOM_BUCKET")),
            jobs=SnsTopic(client("sns"), required(environ, "DARKROOM_JOBS_TOPIC_ARN")),
            retention_s=number(environ, "DARKROOM_QUEUE_RETENTION_S", RETENTION_S, least=60),
        )


def local_client(operator: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes boto3 clients of the local stack's AWS; `operator` is of its state file."""

    def local(service: str) -> Any:
        return connect(
            service,
            isolated=True,
            endpoint_url=operator["AWS_ENDPOINT_URL"],
            region_name=operator["AWS_REGION"],
            aws_access_key_id=operator["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=operator["AWS_SECRET_ACCESS_KEY"],
        )

    return local
