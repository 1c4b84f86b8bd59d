"""Messages put aside for a person: what was in them, and why."""

from dataclasses import dataclass
from typing import Self

from records.queue import Delivery, Queue


@dataclass(frozen=True, kw_only=True)
class Parked:
    """A message that was put aside. `uid` is its job's, if it has one."""

    delivery: Delivery
    reason: str
    uid: str | None

    @property
    def name(self) -> str:
        return self.uid or self.delivery.message_id

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """What `park` has put aside."""
        notes = delivery.notes
        return cls(delivery=delivery, reason=notes.get("reason", ""), uid=notes.get("uid"))


def park(queue: Queue, body: str, *, reason: str, uid: str | None = None) -> None:
    """Put a message aside. `reason` quotes nothing of it: it also goes into logs.

    The queue's depth is the metric that the alarm is on: SQS reports it without us.
    """
    queue.send(body, {"reason": reason, **({"uid": uid} if uid else {})})
