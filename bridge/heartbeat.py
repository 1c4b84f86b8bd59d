"""Keeping received messages invisible to others while they are in hand."""

import threading
from collections.abc import Callable

import structlog

from records.errors import RecordsError
from records.queue import Delivery, Queue


class Heartbeat:
    """A thread of its own that extends every delivery in hand, from its receipt on.

    A thread and not a task: whatever blocks the event loop must not cost us our messages.
    """

    def __init__(self, queue: Queue, *, visibility_s: int, interval_s: float) -> None:
        self._queue = queue
        self._visibility_s = visibility_s
        self._interval_s = interval_s
        self._in_hand: dict[str, Delivery] = {}
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

    def add(self, delivery: Delivery) -> None:
        """Keep this delivery invisible from now on. Never waits for SQS."""
        with self._lock:
            self._in_hand[delivery.receipt] = delivery

    def remove(self, delivery: Delivery) -> None:
        """Extend this delivery no more. Waits for a beat that is under way."""
        with self._beating, self._lock:
            self._in_hand.pop(delivery.receipt, None)

    def beat(self) -> None:
        """Extend everything in hand once."""
        with self._beating:
            with self._lock:
                deliveries = list(self._in_hand.values())
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

    def _run(self) -> None:
        wait: Callable[[float], bool] = self._stopped.wait
        while not wait(self._interval_s):
            self.beat()
