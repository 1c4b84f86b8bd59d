"""The smoke test's own subscriber: a queue for each run, and those that killed runs have left."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from records.errors import ObjectMissing, translated

#: What SQS answers of a queue that was there a moment ago.
QUEUE_GONE = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})


def inbox_prefix(installation: str) -> str:
    """How the queues of the tests' own subscribers begin."""
    return f"{installation}-smoke-test-"


def is_inbox(queue: str, installation: str) -> bool:
    """Whether a queue is one of these; another installation's name may go on with `-smoke-test`."""
    return re.fullmatch(f"{re.escape(inbox_prefix(installation))}[0-9a-f]{{8}}", queue) is not None


def inboxes(sqs: Any, installation: str) -> list[str]:
    """The URLs of all that there are."""
    with translated("SQS ListQueues"):
        pages = sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=inbox_prefix(installation)
        )
        urls = [str(url) for page in pages for url in page.get("QueueUrls", ())]
    return [url for url in urls if is_inbox(url.rpartition("/")[2], installation)]


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """A queue that gets every notice, for as long as somebody looks at it."""

    sqs: Any
    sns: Any
    topic: str
    installation: str
    now: Callable[[], float] = time.time

    @contextmanager
    def opened(self) -> Iterator[str]:
        """Its URL; with the block it is gone."""
        with translated("SQS CreateQueue"):
            # For a minute SQS refuses the name of a queue that was deleted: each run has its own.
            name = f"{inbox_prefix(self.installation)}{uuid.uuid4().hex[:8]}"
            # In the topic's account and region. With its policy from the beginning: one that is set
            # later counts after a minute, and a notice of a warm bridge comes in three seconds.
            arn = f"{self.topic.rpartition(':')[0].replace(':sns:', ':sqs:', 1)}:{name}"
            policy = json.dumps(_only_from(self.topic, arn))
            url = self.sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
        subscription = None
        try:
            with translated("SNS Subscribe"):
                subscription = self.sns.subscribe(
                    TopicArn=self.topic,
                    Protocol="sqs",
                    Endpoint=arn,
                    Attributes={"RawMessageDelivery": "true"},
                    ReturnSubscriptionArn=True,
                )["SubscriptionArn"]
            yield url
        finally:
            with translated("SQS, SNS: the end of the smoke test's queue"):
                if subscription:
                    self.sns.unsubscribe(SubscriptionArn=subscription)
                self.sqs.delete_queue(QueueUrl=url)

    def clear(self, *, older_than_s: float) -> list[str]:
        """Remove those of killed runs, with their subscriptions; a younger one may be at work."""
        removed = []
        for url in inboxes(self.sqs, self.installation):
            try:
                with translated("SQS, SNS: what a killed smoke test left", missing=QUEUE_GONE):
                    made = float(self._attribute(url, "CreatedTimestamp"))
                    if self.now() - made < older_than_s:
                        continue
                    self._unsubscribe(self._attribute(url, "QueueArn"))
                    self.sqs.delete_queue(QueueUrl=url)
            except ObjectMissing:
                continue  # SQS lists a queue for a minute after its end
            removed.append(url.rpartition("/")[2])
        return removed

    def _unsubscribe(self, queue_arn: str) -> None:
        pages = self.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=self.topic)
        for each in [each for page in pages for each in page["Subscriptions"]]:
            if each["Endpoint"] == queue_arn:
                self.sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])

    def _attribute(self, url: str, name: str) -> str:
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return str(found["Attributes"][name])


def _only_from(topic: str, queue: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }
        ],
    }
