"""Keeping received messages invisible to others while they are in hand."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from records.errors import RecordsError
from records.queue import Delivery, Queue

#: SQS keeps no message invisible for longer than this after its receipt, and refuses to try.
SQS_MOST_S = 12 * 3600


@dataclass(frozen=True)
class _Held:
    delivery: Delivery
    alive: Callable[[], bool]
    since: float


class Heartbeat:
    """A thread of its own that extends every delivery in hand, from its receipt on.

    A thread and not a task: whatever blocks the event loop must not cost us our messages.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        visibility_s: int,
        interval_s: float,
        most_s: float = SQS_MOST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        #: No message is kept for longer: what takes so long hangs, and somebody else shall try.
        self._most_s = min(most_s, SQS_MOST_S - visibility_s)
        self._clock = clock
        self._visibility_s = visibility_s
        self._interval_s = interval_s
        self._in_hand: dict[str, _Held] = {}
        self._lock = threading.Lock()
        # Held during the call to SQS: who has removed a delivery can be sure that no
        # extension of it comes after.
        self._beating = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stopped.set()
        self._thread.join()

    def add(self, delivery: Delivery, *, alive: Callable[[], bool] = lambda: True) -> None:
        """Keep this delivery invisible from now on, while its work is `alive`.

        Never waits for SQS.
        """
        with self._lock:
            self._in_hand[delivery.receipt] = _Held(delivery, alive, self._clock())

    def remove(self, delivery: Delivery) -> None:
        """Extend this delivery no more. Waits for a beat that is under way."""
        with self._beating, self._lock:
            self._in_hand.pop(delivery.receipt, None)

    def beat(self) -> None:
        """Extend everything in hand once."""
        with self._beating:
            deliveries = self._worked_on()
            if not deliveries:
                return
            try:
                refused = self._queue.extend(deliveries, visibility_s=self._visibility_s)
            except RecordsError as error:
                # More beats follow before the messages are visible again.
                structlog.get_logger().warning("heartbeat missed", reason=str(error))
                return
            with self._lock:
                for delivery in refused:
                    structlog.get_logger().warning("message lost", message_id=delivery.message_id)
                    self._in_hand.pop(delivery.receipt, None)

    def _worked_on(self) -> list[Delivery]:
        """What is in hand, without those whose work has died or hangs."""
        with self._lock:
            for receipt, held in list(self._in_hand.items()):
                too_long = self._clock() - held.since >= self._most_s
                if too_long or not held.alive():
                    log = structlog.get_logger().bind(message_id=held.delivery.message_id)
                    log.error("message let go", too_long=too_long)
                    del self._in_hand[receipt]
            return [held.delivery for held in self._in_hand.values()]

    def _run(self) -> None:
        wait: Callable[[float], bool] = self._stopped.wait
        while not wait(self._interval_s):
            self.beat()
