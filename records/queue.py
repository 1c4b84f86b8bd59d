"""A queue of messages: the interface."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

#: Seconds that a queue keeps a message: four days, SQS's own default.
RETENTION_S = 4 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One received message. `receipt` names this delivery, `message_id` the message."""

    message_id: str
    receipt: str
    body: str
    #: How often it was received, this time included. It counts releases too.
    receive_count: int
    #: Milliseconds since the epoch at which it entered the queue.
    sent_ms: int
    #: Message attributes: what filter policies saw, or why it was put aside.
    notes: Mapping[str, str] = field(default_factory=dict)


class Queue(Protocol):
    """An SQS queue, as far as we use one."""

    def send(self, body: str, notes: Mapping[str, str] | None = None) -> None:
        """Put a message into the queue, with `notes` as its attributes."""

    def receive(self, *, limit: int, wait_s: int) -> Sequence[Delivery]:
        """Up to `limit` (at most 10) messages, waiting up to `wait_s` (at most 20) for the first.

        They stay invisible to others for the queue's visibility timeout.
        """

    def extend(self, deliveries: Sequence[Delivery], *, visibility_s: int) -> Sequence[Delivery]:
        """Keep the messages invisible for `visibility_s` from now; return those refused."""

    def release(self, delivery: Delivery, *, delay_s: int = 0) -> None:
        """Make the message visible again after `delay_s`."""

    def delete(self, delivery: Delivery) -> None:
        """Take the message out of the queue for good."""

    def depth(self) -> tuple[int, int]:
        """About how many messages are (visible, in flight or delayed)."""
