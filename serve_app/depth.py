"""A queue's depth for somebody who may not wait: read beside, remembered for a while."""

import threading
import time
from collections.abc import Callable

import structlog

from records.errors import RecordsError


class Depth:
    """How many jobs a queue has, as of a moment ago.

    Each look is a thread that ends by itself: whoever has this object may drop it at any time,
    and nothing of it stays behind.
    """

    def __init__(
        self,
        read: Callable[[], tuple[int, int]],
        *,
        poll_s: float,
        max_age_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._poll_s = poll_s
        self._max_age_s = max_age_s
        self._clock = clock
        self._asked_at = float("-inf")
        self._looking: threading.Thread | None = None
        #: (when, jobs) of the last look that brought something.
        self._seen: tuple[float, int] | None = None

    def jobs(self) -> int | None:
        """Visible messages and those in somebody's hand; None while that is not known."""
        now = self._clock()
        if now - self._asked_at >= self._poll_s and not self.looking:
            self._asked_at = now
            self._looking = threading.Thread(target=self._look, name="depth", daemon=True)
            self._looking.start()
        if self._seen is None or now - self._seen[0] > self._max_age_s:
            return None
        return self._seen[1]

    @property
    def looking(self) -> bool:
        """Whether a look is under way."""
        return self._looking is not None and self._looking.is_alive()

    def _look(self) -> None:
        try:
            visible, in_flight = self._read()
        except RecordsError as error:
            structlog.get_logger().warning("depth unknown", reason=str(error))
        else:
            self._seen = (self._clock(), visible + in_flight)
