"""Keeping messages invisible while they are in hand."""

import threading

import pytest

from bridge.heartbeat import SQS_MOST_S, Heartbeat
from records.errors import ObjectMissing, Unavailable
from records.memory import MemoryQueue


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def heart() -> tuple[Heartbeat, MemoryQueue, Clock]:
    clock = Clock()
    queue = MemoryQueue(visibility_s=30, clock=clock)
    return Heartbeat(queue, visibility_s=30, interval_s=5), queue, clock


def test_a_beat_keeps_a_message_in_hand_invisible():
    """Beyond its visibility timeout, from receipt on."""
    heartbeat, queue, clock = heart()
    queue.send("m")
    heartbeat.add(queue.receive(limit=1, wait_s=0)[0])
    for _ in range(4):
        clock.now += 20
        heartbeat.beat()
        assert queue.depth() == (0, 1)


def test_without_a_beat_the_message_is_visible_again():
    """Otherwise the test above would show nothing."""
    heartbeat, queue, clock = heart()
    queue.send("m")
    heartbeat.add(queue.receive(limit=1, wait_s=0)[0])
    clock.now += 31
    assert queue.depth() == (1, 0)


def test_a_message_whose_work_has_died_is_let_go():
    """Nobody would ever give it back."""
    heartbeat, queue, clock = heart()
    queue.send("m")
    work = {"alive": True}
    heartbeat.add(queue.receive(limit=1, wait_s=0)[0], alive=lambda: work["alive"])
    clock.now += 20
    heartbeat.beat()
    work["alive"] = False
    clock.now += 20
    heartbeat.beat()
    clock.now += 11
    assert queue.depth() == (1, 0)


@pytest.mark.parametrize(("most_s", "kept_s"), [(100, 100), (10**6, SQS_MOST_S - 30)])
def test_no_message_is_kept_for_longer_than_an_attempt_may_take_nor_than_sqs_allows(most_s, kept_s):
    """Beyond SQS's twelve hours it would refuse, and then it is too late."""
    clock = Clock()
    queue = MemoryQueue(visibility_s=30, clock=clock)
    heartbeat = Heartbeat(queue, visibility_s=30, interval_s=5, most_s=most_s, clock=clock)
    queue.send("m")
    heartbeat.add(queue.receive(limit=1, wait_s=0)[0])
    while clock.now + 20 < kept_s:
        clock.now += 20
        heartbeat.beat()
        assert queue.depth() == (0, 1)
    clock.now = kept_s
    heartbeat.beat()
    clock.now += 31
    assert queue.depth() == (1, 0)


def test_a_removed_message_is_not_extended():
    """Who releases a message wants it to be seen."""
    heartbeat, queue, clock = heart()
    queue.send("m")
    delivery = queue.receive(limit=1, wait_s=0)[0]
    heartbeat.add(delivery)
    heartbeat.remove(delivery)
    clock.now += 20
    heartbeat.beat()
    clock.now += 11
    assert queue.depth() == (1, 0)


def test_a_beat_that_fails_is_made_good_by_the_next():
    """SQS may be away for a beat or two."""
    heartbeat, queue, clock = heart()
    queue.send("m")
    heartbeat.add(queue.receive(limit=1, wait_s=0)[0])
    extend = queue.extend

    def down(*_: object, **__: object) -> None:
        raise Unavailable("injected")

    queue.extend = down  # type: ignore[method-assign,assignment]
    clock.now += 10
    heartbeat.beat()
    queue.extend = extend  # type: ignore[method-assign]
    clock.now += 10
    heartbeat.beat()
    clock.now += 25
    assert queue.depth() == (0, 1)


def test_one_call_extends_all_messages_in_hand():
    """Ten a call is what SQS takes; the adapter cuts, the heartbeat asks once."""
    heartbeat, queue, _ = heart()
    for number in range(12):
        queue.send(f"m{number}")
    for delivery in (*queue.receive(limit=10, wait_s=0), *queue.receive(limit=10, wait_s=0)):
        heartbeat.add(delivery)
    calls: list[int] = []
    extend = queue.extend

    def counted(deliveries, *, visibility_s):
        calls.append(len(deliveries))
        return extend(deliveries, visibility_s=visibility_s)

    queue.extend = counted  # type: ignore[method-assign]
    heartbeat.beat()
    assert calls == [12]


def test_the_thread_beats_by_itself_until_stopped():
    """A thread of its own: whatever blocks the event loop does not stop it."""
    queue = MemoryQueue(visibility_s=30)
    queue.send("m")
    heartbeat = Heartbeat(queue, visibility_s=30, interval_s=0.01)
    delivery = queue.receive(limit=1, wait_s=0)[0]
    beats = threading.Semaphore(0)

    def beaten(*_: object, **__: object) -> list[object]:
        beats.release()
        return []

    queue.extend = beaten  # type: ignore[method-assign,assignment]
    heartbeat.add(delivery)
    heartbeat.start()
    assert all(beats.acquire(timeout=10) for _ in range(3))
    heartbeat.stop()
    assert not heartbeat._thread.is_alive()


def test_a_new_message_is_added_while_a_beat_hangs():
    """The event loop adds it; it must not wait for SQS."""
    heartbeat, queue, _ = heart()
    queue.send("first")
    queue.send("second")
    first, second = queue.receive(limit=2, wait_s=0)
    heartbeat.add(first)
    hangs, go = threading.Event(), threading.Event()

    def hang(deliveries, *, visibility_s):
        hangs.set()
        assert go.wait(10)
        return []

    queue.extend = hang  # type: ignore[method-assign]
    beating = threading.Thread(target=heartbeat.beat)
    beating.start()
    assert hangs.wait(10)
    heartbeat.add(second)  # hangs itself, and the test with it, if it waits for the beat
    go.set()
    beating.join()


def test_whatever_sqs_refuses_the_heart_goes_on():
    """Also an error that is not the moment's."""
    heartbeat, queue, _ = heart()
    queue.send("m")
    heartbeat.add(queue.receive(limit=1, wait_s=0)[0])

    def gone(*_: object, **__: object) -> None:
        raise ObjectMissing("injected")

    queue.extend = gone  # type: ignore[method-assign,assignment]
    heartbeat.beat()
