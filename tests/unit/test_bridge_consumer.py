"""The loop: how many messages it takes, what it does with verdicts, how it stops."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bridge.consumer import Consumer
from bridge.credit import Credit
from bridge.errors import ServeUnavailable
from bridge.heartbeat import Heartbeat
from bridge.in_hand import InHand
from bridge.verdict import Done, Leave, Park, Reject, Release, Verdict
from jobs.status import ErrorCode
from jobs.stream import Capacity
from records.errors import Unavailable
from records.memory import MemoryQueue
from records.queue import Delivery


def capacity(*, ready: int = 1, window: int = 4, in_flight: int = 0) -> Capacity:
    return Capacity(
        replicas_ready=ready, replicas_wanted=ready, admit_window=window, in_flight=in_flight
    )


@dataclass
class Told:
    """A processor that answers as it is told, when it is told."""

    verdict: Verdict = field(default_factory=Done)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[str] = field(default_factory=list)
    stopped: int = 0

    async def process(self, delivery: Delivery, in_hand: InHand) -> Verdict:
        self.seen.append(delivery.body)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            return Release(delay_s=0, reason="stopping")
        return self.verdict


@dataclass
class Loop:
    """A consumer over a queue in memory."""

    told: Told
    now: Capacity | None
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    parked: MemoryQueue = field(default_factory=MemoryQueue)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    max_in_hand: int = 64

    async def capacity(self) -> Capacity:
        if self.now is None:
            raise ServeUnavailable("nobody listens")
        return self.now

    def consumer(self) -> Consumer:
        return Consumer(
            self.queue,
            self.told,  # type: ignore[arg-type]
            credit=Credit(self.capacity),
            heartbeat=Heartbeat(self.queue, visibility_s=30, interval_s=10),
            parked=self.parked,
            long_poll_s=0,
            max_in_hand=self.max_in_hand,
        )

    async def run_until(self, done: Callable[[], bool], *, grace_s: float = 5) -> None:
        """Consume until `done`, then stop."""
        running = asyncio.create_task(self.consumer().run(self.stop, grace_s=grace_s))
        while not done():
            assert not running.done(), running.exception()
            await asyncio.sleep(0.001)
        self.stop.set()
        await running


def filled(loop: Loop, count: int) -> Loop:
    for number in range(count):
        loop.queue.send(f"m{number}")
    return loop


class TestCredit:
    @pytest.mark.parametrize(
        ("now", "waiting", "in_hand", "room"),
        [
            (capacity(ready=2, window=4, in_flight=3), 0, 3, 5),
            (capacity(ready=2, window=4, in_flight=3), 2, 5, 3),
            (capacity(ready=1, window=4, in_flight=4), 0, 4, 0),
            (capacity(ready=1, window=4, in_flight=9), 0, 0, 0),
            (capacity(ready=0), 0, 0, 1),
            (capacity(ready=0), 1, 1, 0),
            (None, 0, 0, 0),
        ],
    )
    def test_room_is_what_serve_has_free_and_one_probe_while_nothing_is_ready(
        self, now, waiting, in_hand, room
    ):
        """The rest is safer in the queue."""
        credit = Credit(Loop(Told(), now).capacity)
        assert asyncio.run(credit.room(waiting=waiting, in_hand=in_hand)) == room


class TestTaking:
    def test_no_more_messages_are_taken_than_there_is_credit(self):
        """Four fit, so four are in flight and the others stay visible."""

        async def scenario() -> tuple[int, int]:
            loop = filled(Loop(Told(), capacity(window=4)), 10)
            running = asyncio.create_task(loop.consumer().run(loop.stop, grace_s=0))
            while len(loop.told.seen) < 4:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.05)
            depth = loop.queue.depth()
            loop.stop.set()
            await running
            return depth

        assert asyncio.run(scenario()) == (6, 4)

    def test_while_nothing_is_ready_one_message_is_held_as_a_probe(self):
        """A cold start must not pull a burst out of the queue."""

        async def scenario() -> tuple[int, int]:
            loop = filled(Loop(Told(), capacity(ready=0)), 10)
            running = asyncio.create_task(loop.consumer().run(loop.stop, grace_s=0))
            while not loop.told.seen:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.05)
            depth = loop.queue.depth()
            loop.stop.set()
            await running
            return depth

        assert asyncio.run(scenario()) == (9, 1)

    def test_a_queue_that_does_not_answer_is_asked_again(self, monkeypatch):
        """The loop outlives an outage of SQS."""
        monkeypatch.setattr("bridge.consumer._QUEUE_DOWN_S", 0.001)

        async def scenario() -> list[str]:
            loop = filled(Loop(Told(), capacity()), 1)
            loop.told.go.set()
            receive, outages = loop.queue.receive, iter(range(3))

            def flaky(**arguments: int) -> object:
                if next(outages, None) is not None:
                    raise Unavailable("injected")
                return receive(**arguments)

            loop.queue.receive = flaky  # type: ignore[method-assign,assignment]
            await loop.run_until(lambda: loop.queue.depth() == (0, 0))
            return loop.told.seen

        assert asyncio.run(scenario()) == ["m0"]


class TestVerdicts:
    @pytest.mark.parametrize(
        ("verdict", "depth", "parked"),
        [
            (Done(), (0, 0), 0),
            (Reject(code=ErrorCode.INTERNAL, message="m"), (0, 0), 0),
            (Release(delay_s=600, reason="later"), (0, 1), 0),
            (Park(reason="unreadable"), (0, 0), 1),
            (Leave(), (0, 1), 0),
        ],
        ids=["done", "reject", "release", "park", "leave"],
    )
    def test_each_verdict_does_one_thing_to_the_message(self, verdict, depth, parked):
        """Deleted, hidden for a while, moved aside, or left alone."""

        async def scenario() -> Loop:
            loop = filled(Loop(Told(verdict), capacity()), 1)
            loop.told.go.set()
            await loop.run_until(lambda: bool(loop.told.seen))
            return loop

        loop = asyncio.run(scenario())
        assert loop.queue.depth() == depth
        assert loop.parked.depth()[0] == parked

    def test_a_verdict_that_sqs_does_not_take_does_not_end_the_loop(self):
        """The message comes again, and the record knows that its job has ended."""

        async def scenario() -> list[str]:
            loop = filled(Loop(Told(), capacity(window=2)), 2)
            loop.told.go.set()

            def down(_: Delivery) -> None:
                raise Unavailable("injected")

            loop.queue.delete = down  # type: ignore[method-assign]
            await loop.run_until(lambda: len(loop.told.seen) == 2)
            return loop.told.seen

        assert sorted(asyncio.run(scenario())) == ["m0", "m1"]


class TestStopping:
    def test_what_is_in_hand_is_finished_within_the_grace_period(self):
        """Told to stop, it takes nothing new and lets the rest end."""

        async def scenario() -> Loop:
            loop = filled(Loop(Told(), capacity(window=2)), 5)
            running = asyncio.create_task(loop.consumer().run(loop.stop, grace_s=60))
            while len(loop.told.seen) < 2:
                await asyncio.sleep(0.001)
            loop.stop.set()
            await asyncio.sleep(0.01)
            loop.told.go.set()
            await running
            return loop

        loop = asyncio.run(scenario())
        assert loop.told.stopped == 0
        assert loop.queue.depth() == (3, 0)

    def test_what_does_not_fit_is_released_and_visible_at_once(self):
        """Somebody else can have it without waiting for a timeout."""

        async def scenario() -> Loop:
            loop = filled(Loop(Told(), capacity(window=2)), 3)
            await loop.run_until(lambda: len(loop.told.seen) == 2, grace_s=0.01)
            return loop

        loop = asyncio.run(scenario())
        assert loop.told.stopped == 2
        assert loop.queue.depth() == (3, 0)

    def test_messages_that_arrive_after_the_signal_are_released(self):
        """A long poll that was under way may still bring some."""

        async def scenario() -> Loop:
            loop = Loop(Told(), capacity())
            receive, go = loop.queue.receive, threading.Event()

            def late(**arguments: int) -> object:
                assert go.wait(10)
                return receive(**arguments)

            loop.queue.receive = late  # type: ignore[method-assign,assignment]
            running = asyncio.create_task(loop.consumer().run(loop.stop, grace_s=10))
            await asyncio.sleep(0.01)
            loop.stop.set()
            await asyncio.sleep(0.01)
            loop.queue.send("late")
            go.set()
            await running
            return loop

        loop = asyncio.run(scenario())
        assert loop.told.seen == []
        assert loop.queue.depth() == (1, 0)

    def test_messages_that_arrive_with_the_signal_are_released(self):
        """Both in the same turn of the loop: nothing new is begun."""

        async def scenario() -> Loop:
            loop, main = Loop(Told(), capacity()), asyncio.get_running_loop()
            receive = loop.queue.receive

            def late(**arguments: int) -> object:
                loop.queue.send("late")
                main.call_soon_threadsafe(loop.stop.set)
                return receive(**arguments)

            loop.queue.receive = late  # type: ignore[method-assign,assignment]
            await loop.consumer().run(loop.stop, grace_s=1)
            return loop

        loop = asyncio.run(scenario())
        assert loop.told.seen == []
        assert loop.queue.depth() == (1, 0)

    def test_a_poll_that_hangs_does_not_use_up_the_jobs_grace(self):
        """What is in hand ends meanwhile, and after the grace period nobody waits for SQS."""

        async def scenario() -> Loop:
            loop = filled(Loop(Told(), capacity(window=2)), 1)
            receive, go = loop.queue.receive, threading.Event()

            def hangs(**arguments: int) -> object:
                if loop.told.seen:
                    assert go.wait(10)
                return receive(**arguments)

            loop.queue.receive = hangs  # type: ignore[method-assign,assignment]
            running = asyncio.create_task(loop.consumer().run(loop.stop, grace_s=0.3))
            while not loop.told.seen:
                await asyncio.sleep(0.001)
            loop.stop.set()
            await asyncio.sleep(0.01)
            loop.told.go.set()
            await asyncio.wait_for(running, 5)
            go.set()
            return loop

        loop = asyncio.run(scenario())
        assert loop.told.stopped == 0
        assert loop.queue.depth() == (0, 0)

    def test_told_twice_it_releases_at_once(self):
        """Whatever is left of the grace period."""

        async def scenario() -> Loop:
            loop, hurry = filled(Loop(Told(), capacity(window=2)), 2), asyncio.Event()
            consuming = loop.consumer().run(loop.stop, grace_s=3600, hurry=hurry)
            running = asyncio.create_task(consuming)
            while len(loop.told.seen) < 2:
                await asyncio.sleep(0.001)
            loop.stop.set()
            await asyncio.sleep(0.01)
            hurry.set()
            await asyncio.wait_for(running, 5)
            return loop

        loop = asyncio.run(scenario())
        assert loop.told.stopped == 2
        assert loop.queue.depth() == (2, 0)
