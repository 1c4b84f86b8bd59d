"""Job ids: UUIDv7 (RFC 9562 §5.7), so that ids sort by the time of acceptance."""

import hashlib
from uuid import UUID

import uuid6

#: Milliseconds since the epoch fill the first 48 bits.
_TIME_SHIFT = 80
_VERSION = 7 << 76
_VARIANT = 2 << 62
_RANDOM_BITS = (1 << 76) - 1 & ~(3 << 62) & ~(15 << 76)


def new_uid() -> str:
    """A fresh UUIDv7."""
    return str(uuid6.uuid7())


def derived_uid(message_id: str, sent_ms: int) -> str:
    """The same UUIDv7 for every delivery of the same message.

    A message that was sent straight to the topic has no uid of ours; its own id and the
    time at which it was sent do not change between deliveries.
    """
    random = int.from_bytes(hashlib.sha256(message_id.encode()).digest()[:10], "big")
    return str(UUID(int=sent_ms << _TIME_SHIFT | _VERSION | _VARIANT | random & _RANDOM_BITS))


def is_uid(text: str) -> bool:
    """Whether `text` is a UUIDv7 in canonical form."""
    try:
        return UUID(text).version == 7 and str(UUID(text)) == text
    except ValueError:
        return False


def derived_seed(uid: str) -> int:
    """The seed (32 bits, as A1111 shows them) of a job that names none.

    Derived, so that every attempt and every reader has the same one.
    """
    return int.from_bytes(hashlib.sha256(f"seed:{uid}".encode()).digest()[:4], "big")
