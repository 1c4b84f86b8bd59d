"""The AWS side of the local stack: what Terraform makes in an account, made on the emulator."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jobs.catalogue import Catalogue
from records.errors import translated
from records.table import definitions

#: Receives, releases included, before SQS takes a message for poison. A backstop: attempts
#: are counted in the record.
_MAX_RECEIVES = 50


@dataclass(frozen=True, kw_only=True)
class RuntimeQueues:
    """The queues of one runtime, by URL."""

    jobs: str
    dead_letters: str
    parked: str


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Names and addresses of everything made."""

    table: str
    bucket: str
    jobs_topic_arn: str
    notices_topic_arn: str
    queues: dict[str, RuntimeQueues]
    #: The queue of notices whose jobs name somebody to call.
    webhooks_queue: str
    #: Queues that get every notice: one for each subscriber asked for.
    notice_queues: dict[str, str]


def create_cloud(
    catalogue: Catalogue,
    *,
    connect: Callable[[str], Any],
    subscribers: Iterable[str],
    visibility_s: int = 120,
    name: str = "darkroom",
) -> Cloud:
    """Make table, bucket, topics and queues; `connect` gives the client of a service."""
    with translated("making the local AWS"):
        return _create(catalogue, connect, subscribers, visibility_s, name)


def _create(
    catalogue: Catalogue,
    connect: Callable[[str], Any],
    subscribers: Iterable[str],
    visibility_s: int,
    name: str,
) -> Cloud:
    sns, sqs, s3 = connect("sns"), connect("sqs"), connect("s3")
    _create_table(connect("dynamodb"), f"{name}-jobs", definitions()["jobs"])
    s3.create_bucket(Bucket=f"{name}-outputs")
    jobs_topic = sns.create_topic(Name=f"{name}-jobs")["TopicArn"]
    notices_topic = sns.create_topic(Name=f"{name}-notices")["TopicArn"]
    queues = {
        runtime: _create_runtime_queues(
            sqs, sns, f"{name}-{runtime}", runtime, jobs_topic, visibility_s
        )
        for runtime in catalogue.runtimes
    }
    notice_queues = {
        subscriber: _subscribe(sqs, sns, f"{name}-notices-{subscriber}", notices_topic)
        for subscriber in subscribers
    }
    webhooks_queue = _subscribe(
        sqs,
        sns,
        f"{name}-webhooks",
        notices_topic,
        policy={"webhook": ["yes"]},
        # Longer than a call takes, 20 s.
        attributes={"VisibilityTimeout": "60"},
    )
    return Cloud(
        table=f"{name}-jobs",
        bucket=f"{name}-outputs",
        jobs_topic_arn=jobs_topic,
        notices_topic_arn=notices_topic,
        queues=queues,
        webhooks_queue=webhooks_queue,
        notice_queues=notice_queues,
    )


def _create_table(dynamodb: Any, name: str, definition: dict[str, Any]) -> None:
    arguments = dict(definition)
    ttl = arguments.pop("TimeToLive")
    dynamodb.create_table(TableName=name, **arguments)
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)


def _create_runtime_queues(
    sqs: Any, sns: Any, name: str, runtime: str, topic: str, visibility_s: int
) -> RuntimeQueues:
    dead_letters = sqs.create_queue(QueueName=f"{name}-dead-letters")["QueueUrl"]
    parked = sqs.create_queue(QueueName=f"{name}-parked")["QueueUrl"]
    redrive = {
        "deadLetterTargetArn": _arn(sqs, dead_letters),
        "maxReceiveCount": str(_MAX_RECEIVES),
    }
    jobs = _subscribe(
        sqs,
        sns,
        name,
        topic,
        policy={"runtime": [runtime]},
        attributes={
            "VisibilityTimeout": str(visibility_s),
            "RedrivePolicy": json.dumps(redrive),
        },
    )
    return RuntimeQueues(jobs=jobs, dead_letters=dead_letters, parked=parked)


def _subscribe(
    sqs: Any,
    sns: Any,
    name: str,
    topic: str,
    *,
    policy: dict[str, list[str]] | None = None,
    attributes: dict[str, str] | None = None,
) -> str:
    """A queue that gets the topic's messages raw, those that `policy` lets through."""
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes or {})["QueueUrl"]
    settings = {"RawMessageDelivery": "true"}
    if policy:
        settings["FilterPolicy"] = json.dumps(policy)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=_arn(sqs, url), Attributes=settings)
    return url


def _arn(sqs: Any, url: str) -> str:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = answer["Attributes"]["QueueArn"]
    return arn
