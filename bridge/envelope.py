"""Reading a queue's message: raw delivery or SNS's envelope around it."""

import json
from dataclasses import dataclass
from datetime import datetime

from jobs.catalogue import Catalogue
from jobs.job import Family, Job
from jobs.message import Message
from jobs.uid import derived_uid
from records.queue import Delivery
from records.record import read_referred
from records.store import ObjectStore

#: Whose jobs those are that were sent straight to the topic.
_TOPIC_TENANT = "default"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The message inside a delivery, and what identifies it across deliveries."""

    message: Message
    message_id: str
    sent_ms: int


def open_delivery(delivery: Delivery) -> Opened:
    """Take the message out; raises `InvalidJob` or `NewerSchema`."""
    body, message_id, sent_ms = delivery.body, delivery.message_id, delivery.sent_ms
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and document.get("Type") == "Notification":
        # SNS's own id: it is the same on every queue and in every delivery.
        body = str(document.get("Message", ""))
        message_id = str(document.get("MessageId", message_id))
        sent_ms = _published_ms(document, sent_ms)
    return Opened(message=Message.decode(body), message_id=message_id, sent_ms=sent_ms)


def job_of(opened: Opened, *, store: ObjectStore, catalogue: Catalogue) -> Job:
    """The job that a message speaks of, wherever it lies.

    Raises `InvalidJob` for one that cannot be, `ObjectMissing` or `ObjectChanged` for a
    reference to nothing.
    """
    message = opened.message
    if message.job is not None:
        return message.job
    if message.reference is not None:
        return read_referred(store, message.reference.key, message.reference.sha256)
    assert message.request is not None
    return Job.of_request(
        message.request,
        uid=derived_uid(opened.message_id, opened.sent_ms),
        tenant=_TOPIC_TENANT,
        family=Family.TOPIC,
        catalogue=catalogue,
        now=datetime.fromtimestamp(opened.sent_ms / 1000).astimezone(),
    )


def _published_ms(envelope: dict[str, object], otherwise: int) -> int:
    try:
        return int(datetime.fromisoformat(str(envelope["Timestamp"])).timestamp() * 1000)
    except (KeyError, ValueError):
        return otherwise
