"""The loop: take messages while there is room, hand each to the processor, do its verdict."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Literal

import structlog

from bridge.credit import Credit
from bridge.heartbeat import Heartbeat
from bridge.in_hand import InHand
from bridge.process import Processor
from bridge.threads import abandonable
from bridge.verdict import Done, Leave, Park, Reject, Release, Verdict
from records.errors import RecordsError
from records.parked import park
from records.queue import Delivery, Queue

#: Seconds between two looks at Serve while there is no room.
_NO_ROOM_S = 0.5
#: Seconds of a poll while something is in hand. Told to stop, we release that; a poll of ours
#: that is still open would take it, and nobody would read it for the visibility timeout.
_BUSY_POLL_S = 1
#: Seconds to wait before the queue is asked again after it did not answer.
_QUEUE_DOWN_S = 2.0
#: SQS's longest visibility timeout.
_MAX_DELAY_S = 43_200


class Consumer:
    """One queue's messages, as many at once as Serve has room for."""

    def __init__(
        self,
        queue: Queue,
        processor: Processor,
        *,
        credit: Credit,
        heartbeat: Heartbeat,
        parked: Queue,
        long_poll_s: int,
        max_in_hand: int,
    ) -> None:
        self._queue = queue
        self._processor = processor
        self._credit = credit
        self._heartbeat = heartbeat
        self._parked = parked
        self._long_poll_s = long_poll_s
        self._max_in_hand = max_in_hand
        self._in_hand: dict[asyncio.Task[None], InHand] = {}
        #: The question to the queue that is under way.
        self._poll: asyncio.Task[Sequence[Delivery]] | None = None

    async def run(
        self, stop: asyncio.Event, *, grace_s: float, hurry: asyncio.Event | None = None
    ) -> None:
        """Consume until `stop` is set; then finish what fits into `grace_s`, release the rest.

        With `hurry` set nothing is waited for any more.
        """
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._round(stopping)
        finally:
            stopping.cancel()
        await self._drain(grace_s, hurry or asyncio.Event())

    async def _round(self, stopping: asyncio.Task[Literal[True]]) -> None:
        waiting = sum(each.waiting for each in self._in_hand.values())
        room = await self._credit.room(waiting=waiting, in_hand=len(self._in_hand))
        room = min(room, self._max_in_hand - len(self._in_hand))
        if room <= 0 or stopping.done():
            await asyncio.wait(
                {stopping, *self._in_hand}, timeout=_NO_ROOM_S, return_when=asyncio.FIRST_COMPLETED
            )
            return
        wait_s = min(self._long_poll_s, _BUSY_POLL_S) if self._in_hand else self._long_poll_s
        poll = abandonable(self._queue.receive, limit=room, wait_s=wait_s)
        self._poll = asyncio.create_task(poll)
        await asyncio.wait({stopping, self._poll}, return_when=asyncio.FIRST_COMPLETED)
        if not self._poll.done():
            return  # told to stop: what it still brings is given back while the rest drains
        deliveries = await self._polled(stopping)
        if stopping.done():
            await self._give_back(deliveries)
            return
        for delivery in deliveries:
            self._begin(delivery)

    def _begin(self, delivery: Delivery) -> None:
        in_hand = InHand()
        task = asyncio.create_task(self._handle(delivery, in_hand))
        self._heartbeat.add(delivery, alive=lambda: not task.done())
        self._in_hand[task] = in_hand
        task.add_done_callback(self._in_hand.pop)

    async def _polled(self, stopping: asyncio.Future[Any]) -> Sequence[Delivery]:
        """What the poll has brought; nothing if the queue did not answer, after a pause."""
        assert self._poll is not None
        poll, self._poll = self._poll, None
        try:
            return poll.result()
        except RecordsError as error:
            structlog.get_logger().warning("queue unavailable", reason=str(error))
            await asyncio.wait({stopping}, timeout=_QUEUE_DOWN_S)
            return []

    async def _handle(self, delivery: Delivery, in_hand: InHand) -> None:
        verdict: Verdict = Release(delay_s=0, reason="stopping")
        # Told to stop before the processor had begun: the verdict above stands.
        with contextlib.suppress(asyncio.CancelledError):
            verdict = await self._processor.process(delivery, in_hand)
        await asyncio.to_thread(self._carry_out, delivery, verdict)

    def _carry_out(self, delivery: Delivery, verdict: Verdict) -> None:
        """Do what the verdict says. If SQS does not answer, the message comes again."""
        self._heartbeat.remove(delivery)
        log = structlog.get_logger().bind(message_id=delivery.message_id)
        try:
            match verdict:
                case Done() | Reject():
                    self._queue.delete(delivery)
                case Release():
                    delay_s = round(verdict.delay_of(delivery.receive_count))
                    delay_s = min(delay_s, _MAX_DELAY_S)
                    self._queue.release(delivery, delay_s=delay_s)
                    log.info("message released", delay_s=delay_s, reason=verdict.reason)
                case Park():
                    log.error("message parked", reason=verdict.reason)
                    # In this order: killed in between, it is parked twice rather than lost.
                    park(self._parked, delivery.body, reason=verdict.reason)
                    self._queue.delete(delivery)
                case Leave():
                    log.warning("lease lost")
        except RecordsError as error:
            wanted = getattr(verdict, "reason", type(verdict).__name__.lower())
            log.warning("verdict not carried out", verdict=wanted, reason=str(error))

    async def _drain(self, grace_s: float, hurry: asyncio.Event) -> None:
        structlog.get_logger().info("draining", in_hand=len(self._in_hand))
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        hurried = asyncio.create_task(hurry.wait())
        while (self._in_hand or self._poll) and not hurry.is_set() and loop.time() < until:
            polls = {self._poll} if self._poll else set()
            await asyncio.wait(
                {hurried, *self._in_hand, *polls},
                timeout=until - loop.time(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._poll and self._poll.done():
                await self._give_back(await self._polled(hurried))
        hurried.cancel()
        if self._in_hand and self._poll:
            await asyncio.wait({self._poll}, timeout=2 * _BUSY_POLL_S)
            if self._poll.done():
                await self._give_back(await self._polled(self._poll))
        left = set(self._in_hand)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        """They came in answer to a question from before we were told to stop."""
        for delivery in deliveries:
            verdict = Release(delay_s=0, reason="stopping")
            await asyncio.to_thread(self._carry_out, delivery, verdict)
