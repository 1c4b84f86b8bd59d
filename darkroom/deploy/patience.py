"""Patience with AWS: work of half an hour is not thrown away because it was silent for a moment."""

from collections.abc import Callable
from typing import TypeVar

from records.errors import Unavailable

#: Each is four of botocore's own. What has just been made may be unknown to the next call, too.
_TRIES = 6
_PAUSE_S = 10

T = TypeVar("T")


def insisted(call: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """What `call` answers, for one that may be repeated; `Unavailable` after six times in a row."""
    for _ in range(_TRIES - 1):
        try:
            return call()
        except Unavailable:
            sleep(_PAUSE_S)
    return call()
