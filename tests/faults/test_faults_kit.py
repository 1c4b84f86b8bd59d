"""The kit that makes trouble: what it promises to do to calls, connections and processes."""

import asyncio
import threading
import time
from pathlib import Path

import httpx
import pytest

from bridge.adapters import Adapters
from records.aws import S3Store, SqsQueue
from records.errors import Unavailable
from records.memory import MemoryQueue, MemoryReader, MemoryStore, MemoryTable, MemoryTopic
from records.table import Change
from tests.faults.crash_points import POINTS, CrashPoint
from tests.faults.hooks import Weather
from tests.faults.lab import Lab
from tests.faults.proxy import FaultProxy
from tests.faults.stub_pipeline import hold_gil


@pytest.fixture(scope="module")
def lab():
    """An emulated AWS, and a Serve that is told."""
    with Lab.running(STUB_STEP_S="0") as running:
        yield running


class TestWeather:
    def test_every_call_can_be_answered_with_any_status(self, lab):
        """AWS never hears of it."""
        weather = Weather(seed=1, errors=1.0, status=503, operations=frozenset({"s3.PutObject"}))
        store = S3Store(weather.attach(lab.client("s3")), lab.cloud.bucket)
        with pytest.raises(Unavailable, match="PutObject"):
            store.put("a", b"x", media_type="text/plain")
        weather.errors = 0
        store.put("b", b"x", media_type="text/plain")
        assert store.get("b") == b"x"
        assert weather.injected["s3.PutObject 503"] == 4  # the SDK's own tries

    def test_a_lost_answer_was_done_nevertheless(self, lab):
        """A hook that only refuses could not show it."""
        weather = Weather(seed=1, lost=1.0)
        url = lab.client("sqs").create_queue(QueueName="lost")["QueueUrl"]
        queue = SqsQueue(weather.attach(lab.client("sqs")), url)
        with pytest.raises(Unavailable):
            queue.send("x")
        assert SqsQueue(lab.client("sqs"), url).depth() == (4, 0)

    def test_a_seed_gives_the_same_weather(self, lab):
        """A run that went wrong can be run again."""
        rolls = []
        for _ in range(2):
            weather = Weather(seed=7, errors=0.3)
            store = S3Store(weather.attach(lab.client("s3")), lab.cloud.bucket)
            for number in range(6):
                try:
                    store.put(f"{number}", b"", media_type="text/plain")
                except Unavailable:
                    continue
            rolls.append(weather.injected)
        assert rolls[0] == rolls[1] != {}


class TestProxy:
    def asked(self, lab, proxy, *, times: int = 1) -> list[str]:
        answers = []
        for _ in range(times):
            try:
                with httpx.Client(trust_env=False, timeout=5) as client:
                    answer = client.get(f"http://127.0.0.1:{proxy.own_port}/capacity")
                answers.append(str(answer.status_code))
            except httpx.TransportError as error:
                answers.append(type(error).__name__)
        return answers

    @pytest.mark.parametrize(
        ("fault", "first"), [("resets", "ReadError"), ("swallows", "ReadError"), (None, "200")]
    )
    def test_the_first_connection_suffers_and_the_next_is_well(self, lab, fault, first):
        """Once is enough to show what a retry does."""
        port = int(lab.serve_url.rpartition(":")[2])
        lab.processes["serve"].wait_until(
            lambda: _listens(f"{lab.serve_url}/capacity"), timeout_s=30
        )

        async def scenario() -> list[str]:
            async with FaultProxy(port, **({fault: 1} if fault else {})) as proxy:
                return await asyncio.to_thread(self.asked, lab, proxy, times=2)

        assert asyncio.run(scenario()) == [first, "200"]

    def test_a_delay_is_kept(self, lab):
        """Of an answer."""
        port = int(lab.serve_url.rpartition(":")[2])

        async def scenario() -> float:
            async with FaultProxy(port, delay_s=0.2) as proxy:
                began = time.monotonic()
                await asyncio.to_thread(self.asked, lab, proxy)
                return time.monotonic() - began

        assert asyncio.run(scenario()) >= 0.2


def _listens(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


class TestCrashPoints:
    def passed(self, name: str) -> list[str]:
        """The calls of one job, with a point that only notes that it was reached."""
        reached: list[str] = []
        queue = MemoryQueue()
        on = CrashPoint(name, die=lambda point, _: reached.append(point)).wrapped(
            Adapters(
                queue=queue,
                beats=queue,
                parked=MemoryQueue(),
                table=MemoryTable(),
                store=MemoryStore(),
                objects=MemoryReader(),
                notices=MemoryTopic(),
            )
        )
        assert on.queue.receive(limit=1, wait_s=0) == []
        on.queue.send("m")
        [delivery] = on.queue.receive(limit=1, wait_s=0)
        for status in ("starting", "processing", "succeeded"):
            on.table.update("job#a", Change(set={"status": status}))
        on.store.put("a-1.png", b"", media_type="image/png")
        on.store.put("a.out", b"", media_type="application/json")
        on.notices.publish("{}", {})
        on.table.update("job#a", Change(set={"notified_at": 1}))
        on.queue.delete(delivery)
        return reached

    @pytest.mark.parametrize("name", POINTS)
    def test_every_point_lies_on_a_job_s_way(self, name):
        """Once, and by its own name."""
        assert self.passed(name) == [name]

    def test_a_process_that_reaches_its_point_is_gone(self, lab):
        """Noted, and dead by signal 9."""
        lab.client("sqs").send_message(QueueUrl=lab.cloud.queues["demo"].jobs, MessageBody="{")
        bridge = lab.start_bridge("doomed", CRASH_AT="after_received")
        while bridge.running:
            time.sleep(0.02)
        assert bridge.stop(grace_s=0) == -9
        assert Path(lab.crashes).read_text() == "after_received\n"
        lab.processes.pop("doomed")


def test_holding_the_gil_stops_every_other_thread():
    """Otherwise it would show nothing of a heartbeat."""
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.005):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    time.sleep(0.05)
    hold_gil(0.3)
    stop.set()
    thread.join()
    assert max(b - a for a, b in zip(ticks, [*ticks[1:], time.monotonic()], strict=True)) > 0.25
