"""Calling a client back when its job has ended: when, how often, and with which secret.

The times are in the record, because the gaps are longer than a queue can hide a message. A
record whose webhook is to be delivered is due, like one that is to be published again.
"""

import base64
import hashlib
import hmac
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from jobs.environment import BadSetting
from records.errors import ConditionFailed
from records.record import FLAG, Record, job_key
from records.table import Change, Require, Table

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
#: From one try to the next: the schedule of Standard Webhooks 1.0, three days in all.
GAPS_MS = (
    5_000,
    5 * _MINUTE_MS,
    30 * _MINUTE_MS,
    2 * _HOUR_MS,
    5 * _HOUR_MS,
    10 * _HOUR_MS,
    14 * _HOUR_MS,
    20 * _HOUR_MS,
    24 * _HOUR_MS,
)
#: A message on its way to the worker may be lost; after so long the sweeper sends another.
ON_ITS_WAY_MS = 10 * _MINUTE_MS
#: Bytes of a key, at least: what Standard Webhooks asks of a secret.
_MIN_KEY_BYTES = 24


class Called(StrEnum):
    """How the calling of a client ended."""

    DELIVERED = "delivered"
    #: The endpoint said that it does not exist any more.
    GONE = "gone"
    GAVE_UP = "gave_up"


@dataclass(frozen=True)
class WebhookKeys:
    """The keys of one installation, newest first. Each tenant's secret follows from them."""

    keys: Sequence[bytes]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `DARKROOM_WEBHOOK_KEYS`: base64, several while a key is being replaced."""
        try:
            keys = [base64.b64decode(word, validate=True) for word in text.split()]
        except ValueError as error:
            raise BadSetting("DARKROOM_WEBHOOK_KEYS must be base64") from error
        if not keys or min(map(len, keys)) < _MIN_KEY_BYTES:
            raise BadSetting(f"DARKROOM_WEBHOOK_KEYS: a key has at least {_MIN_KEY_BYTES} bytes")
        return cls(keys)

    def secrets(self, tenant: str) -> list[str]:
        """The secrets that a tenant verifies our calls with; the first is the one to keep."""
        digests = (
            hmac.digest(key, f"webhook:{tenant}".encode(), hashlib.sha256) for key in self.keys
        )
        return [f"whsec_{base64.b64encode(digest).decode()}" for digest in digests]


def waits(record: Record, *, now_ms: int) -> bool:
    """Whether the next call is due later: a message that comes now is a copy."""
    return record.due_at is not None and record.due_at > now_ms + ON_ITS_WAY_MS


def is_to_call(record: Record) -> bool:
    """Whether somebody waits to be called about this job, which has ended."""
    pending = record.callback is not None and record.called is None
    return pending and record.ended and record.deleted_at is None


def on_its_way(table: Table, record: Record, *, now_ms: int) -> bool:
    """Note that a message is about to go to the worker; False if somebody was faster."""
    change = Change(
        require=[Require("due_at", "=", record.due_at)], set={"due_at": now_ms + ON_ITS_WAY_MS}
    )
    return _update(table, record, change)


def called(table: Table, record: Record, how: Called) -> None:
    """Note that nobody has to be called about this job any more."""
    change = Change(
        require=[Require("pk", "present")],
        set={"called": how.value},
        remove=["due", "due_at"],
    )
    _update(table, record, change)


def call_again(table: Table, record: Record, *, now_ms: int) -> bool:
    """Note a call that failed, and when the next is due; False if that was the last.

    Of two workers that tried at the same time one counts.
    """
    if record.calls >= len(GAPS_MS):
        called(table, record, Called.GAVE_UP)
        return False
    # Up to a tenth later: not all at once after an outage of the same receiver.
    gap_ms = GAPS_MS[record.calls] * random.uniform(1, 1.1)  # noqa: S311  # jitter, no secret
    before = Require("calls", "=", record.calls) if record.calls else Require("calls", "absent")
    change = Change(
        require=[Require("pk", "present"), Require("called", "absent"), before],
        set={"due": FLAG, "due_at": now_ms + int(gap_ms)},
        add={"calls": 1},
    )
    _update(table, record, change)
    return True


def _update(table: Table, record: Record, change: Change) -> bool:
    """Whether it was done: the record may be deleted, or another worker was faster."""
    try:
        table.update(job_key(record.uid), change)
    except ConditionFailed:
        return False
    return True
