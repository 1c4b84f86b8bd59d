"""The notices of a run, read from their queue."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from jobs.notice import Notice

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: Long poll, so that an idle queue costs few calls; short enough to end soon after the run.
_WAIT_S = 2
_AT_ONCE = 10


class NoticeQueue:
    """A queue that is subscribed to the notices topic, raw or in SNS's envelope."""

    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    def listen(self, notify: Callable[[Notice], None], is_over: Callable[[], bool]) -> None:
        """Hand each notice to `notify`, then delete it, until `is_over`."""
        while not is_over():
            answer = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=_WAIT_S
            )
            messages = answer.get("Messages", [])
            for notice in decoded(message["Body"] for message in messages):
                notify(notice)
            if messages:
                self._sqs.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                        for number, message in enumerate(messages)
                    ],
                )


def decoded(bodies: Iterable[str]) -> Iterable[Notice]:
    """The notices among the bodies; something else in the queue is not ours to judge."""
    for body in bodies:
        try:
            document = json.loads(body)
            is_envelope = isinstance(document, dict) and document.get("Type") == "Notification"
            yield Notice.model_validate_json(document["Message"] if is_envelope else body)
        except (ValueError, ValidationError):
            continue
