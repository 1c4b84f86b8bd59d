"""A processor over fakes, for the tests of the bridge."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from bridge import generation as generation_module
from bridge.egress import Egress
from bridge.endings import Endings
from bridge.in_hand import InHand
from bridge.process import Processor
from bridge.scripted import ScriptedServe, Step, success
from bridge.scripted_web import ScriptedWeb
from bridge.serve_client import ServeClient
from bridge.sources import Sources
from bridge.taker import Taker
from bridge.verdict import Verdict
from jobs.catalogue import Catalogue
from jobs.job import Job
from jobs.message import Message
from records.accept import accept
from records.clock import now_ms
from records.errors import Unavailable
from records.memory import MemoryQueue, MemoryReader, MemoryStore, MemoryTable, MemoryTopic
from records.queue import Delivery
from records.record import Record, job_key


@dataclass
class Bench:
    """A processor over fakes, and what it did to them."""

    catalogue: Catalogue
    serve: ScriptedServe
    table: MemoryTable = field(default_factory=MemoryTable)
    store: MemoryStore = field(default_factory=MemoryStore)
    notices: MemoryTopic = field(default_factory=MemoryTopic)
    patience_s: float = 5
    web: ScriptedWeb = field(default_factory=lambda: ScriptedWeb({}))

    def accept(self, job: Job) -> None:
        accept(self.table, self.store, job, fingerprint="f", republish_at=now_ms() + 10**9)

    def deliver(self, body: str) -> Delivery:
        queue = MemoryQueue()
        queue.send(body)
        return queue.receive(limit=1, wait_s=0)[0]

    def record(self, uid: str) -> Record:
        item = self.table.get(job_key(uid))
        assert item is not None
        return Record.from_item(item)

    def process(self, body: str, *, meanwhile: Callable[[], None] | None = None) -> Verdict:
        return asyncio.run(self.processing(body, meanwhile))

    async def processing(
        self, body: str, meanwhile: Callable[[], None] | None = None, *, stop: bool = False
    ) -> Verdict:
        async with ServeClient(
            "http://serve/demo", start_timeout_s=5, transport=self.serve
        ) as serve:
            processor = Processor(
                taker=Taker(
                    owner="b",
                    runtime="demo",
                    catalogue=self.catalogue,
                    table=self.table,
                    store=self.store,
                    lease_s=30,
                    retention_s=1000,
                ),
                endings=Endings(table=self.table, store=self.store, notices=self.notices),
                serve=serve,
                sources=Sources(
                    Egress(resolver=self.web.resolver, connector=self.web.connector),
                    MemoryReader(self.store),
                    bucket=self.store.bucket,
                ),
                patience_s=self.patience_s,
                attempt_timeout_s=60,
            )
            task = asyncio.create_task(processor.process(self.deliver(body), InHand()))
            if meanwhile is not None or stop:
                while not self.serve.posted:
                    await asyncio.sleep(0)
                # Let the stream's first lines be taken before anything happens to the job.
                await asyncio.sleep(0.05)
            if meanwhile is not None:
                meanwhile()
            if stop:
                task.cancel()
            return await task


@pytest.fixture
def bench(catalogue: Catalogue) -> Callable[..., Bench]:
    """A bench whose Serve follows the given scripts."""

    def make(*scripts: list[Step]) -> Bench:
        return Bench(catalogue=catalogue, serve=ScriptedServe(list(scripts) or [success()]))

    return make


@pytest.fixture
def fast_ticks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ticks in milliseconds: what they do is tested here, not how often."""
    monkeypatch.setattr(generation_module, "_TICK_S", 0.01)
    monkeypatch.setattr(generation_module, "_IDLE_TICK_S", 0.02)
    yield


@contextmanager
def failing(obj: object, name: str) -> Iterator[None]:
    """`obj.name` raises `Unavailable` within the block."""
    original = getattr(obj, name)

    def fail(*_: object, **__: object) -> None:
        raise Unavailable("injected")

    setattr(obj, name, fail)
    try:
        yield
    finally:
        setattr(obj, name, original)


def message(job: Job) -> str:
    return Message(uid=job.uid, job=job).encode()
