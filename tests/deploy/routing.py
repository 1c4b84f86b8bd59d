"""Messages with every combination of attributes, and where each of them belongs."""

import itertools
from collections.abc import Iterable
from typing import Any

#: What may be said of a message, and None: nothing. `demo` and `other` are runtimes, the two
#: files lead to them.
VALUES = {
    "runtime": (None, "demo", "other", "DEMO", "elsewhere"),
    "priority": (None, "interactive", "batch", "urgent"),
    "sd_model_checkpoint": (None, "first.safetensors", "second.safetensors", "unknown.ckpt"),
    "tenant": (None, "ada"),
}
#: Every combination but none at all, which no filter policy can match.
COMBINATIONS = [
    attributes
    for values in itertools.product(*VALUES.values())
    if (attributes := {n: v for n, v in zip(VALUES, values, strict=True) if v is not None})
]
ROUTES = {"first.safetensors": "demo", "second.safetensors": "other"}


def expected(attributes: dict[str, str]) -> str:
    """The queue that a message with these attributes belongs in."""
    runtime = attributes.get("runtime")
    if runtime is None:
        runtime = ROUTES.get(attributes.get("sd_model_checkpoint"))
    if runtime not in ("demo", "other"):
        return "unrouted"
    return f"{runtime}-batch" if attributes.get("priority") == "batch" else runtime


#: What `delivered` is to find.
EACH_IN_ITS_QUEUE = {number: [expected(each)] for number, each in enumerate(COMBINATIONS)}


def delivered(sns: Any, sqs: Any, *, topic: str, queues: Iterable[str]) -> dict[int, list[str]]:
    """Send one message of each combination; its number -> the queues in which it arrived."""
    for number, attributes in enumerate(COMBINATIONS):
        sns.publish(
            TopicArn=topic,
            Message=f"combination {number}",
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )
    arrived: dict[int, list[str]] = {}
    for queue in queues:
        url = sqs.get_queue_url(QueueName=f"demo-{queue}")["QueueUrl"]
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0, VisibilityTimeout=60
        ).get("Messages"):
            for message in messages:
                # Jobs of other tests lie here too; they stay.
                if message["Body"].startswith("combination "):
                    arrived.setdefault(int(message["Body"].split()[1]), []).append(queue)
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return dict(sorted(arrived.items()))
