"""One job in Serve: following its events, uploading its images, ticking its record."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

import structlog

from bridge.errors import BridgeError, JobRefused, OutOfMemory, Overloaded, ServeUnavailable
from bridge.serve_client import ServeClient
from bridge.sources import Sources
from bridge.threads import in_thread
from jobs.job import Job
from jobs.keys import attempt_suffix, output_key
from jobs.logs import log_transition
from jobs.outcome import ImageOutput
from jobs.status import ErrorCode
from jobs.stream import Accepted, Canceled, Error, Event, Image, Progress, Result
from records.clock import now_ms
from records.errors import Unavailable
from records.lease import Lease, Position, start, tick
from records.store import ObjectStore
from records.table import Table

#: A record is not written more often than this ...
_TICK_S = 1.0
#: ... nor less often, so that the lease goes on while a step takes long.
_IDLE_TICK_S = 5.0


class CancelRequested(Exception):
    """The client wants the job stopped."""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What a generation brought."""

    outputs: tuple[ImageOutput, ...] = ()
    warnings: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    uploaded_ms: int | None = None
    #: When each stage began, in milliseconds since the epoch.
    stages: Mapping[str, int] = field(default_factory=dict)


class Generation:
    """One attempt at a job. `held` is its lease, which grows an attempt when Serve accepts."""

    def __init__(
        self,
        job: Job,
        held: Lease,
        *,
        serve: ServeClient,
        sources: Sources,
        table: Table,
        store: ObjectStore,
        lease_s: float,
        patience_s: float,
        attempt_timeout_s: float,
    ) -> None:
        self.held = held
        #: Serve knows of the job.
        self.placed = False
        self._job = job
        self._serve = serve
        self._sources = sources
        self._table = table
        self._store = store
        self._lease_s = lease_s
        self._patience_s = patience_s
        self._attempt_timeout_s = attempt_timeout_s
        self._position = Position()
        self._recorded = self._position
        # A start and a tick must not overlap: each requires the attempt that the other writes.
        self._writing = asyncio.Lock()

    async def run(self) -> Generated:
        """Generate and upload.

        Raises `CancelRequested`, `LeaseLost`, or one of `bridge.errors`, also for what the model
        says; the stream is closed then, which stops the job in Serve.
        """
        ticking = asyncio.create_task(self._keep_ticking())
        following = asyncio.create_task(self._follow())
        try:
            await asyncio.wait({ticking, following}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            ticking.result()  # only ever ends by raising
            raise AssertionError("unreachable")
        finally:
            for task in (ticking, following):
                task.cancel()
            await asyncio.gather(ticking, following, return_exceptions=True)

    async def _follow(self) -> Generated:
        # Here and not before the ticks: what it waits for must not cost the lease.
        job = await self._sources.inlined(self._job)
        waited_s = 0.0
        while True:
            try:
                async with self._serve.generate(job, alone=self.held.alone) as events:
                    self.placed = True
                    async with asyncio.timeout(self._attempt_timeout_s):
                        return await self._consume(events)
            except Overloaded as full:
                # Waiting here keeps our place; releasing would only make somebody else ask.
                # Not for ever: what holds a message without end hides that nothing moves.
                if waited_s >= self._patience_s:
                    raise ServeUnavailable(f"no room in Serve for {waited_s:.0f} s") from full
                await asyncio.sleep(full.retry_after_s)
                waited_s += full.retry_after_s
            except TimeoutError as error:
                raise ServeUnavailable(
                    f"the attempt took more than {self._attempt_timeout_s:g} s"
                ) from error

    async def _consume(self, events: AsyncIterator[Event]) -> Generated:
        outputs: list[ImageOutput] = []
        async for event in events:
            done = await self._take(event, outputs)
            if done is not None:
                return done
        raise AssertionError("the stream ends by its last event or by raising")

    async def _take(self, event: Event, outputs: list[ImageOutput]) -> Generated | None:
        match event:
            case Accepted():
                await self._start(event.replica)
            case Progress():
                self._advance(event)
            case Image():
                outputs.append(await in_thread(self._upload, event))
            case Result():
                if len(outputs) != event.images or not outputs:
                    raise ServeUnavailable(f"{len(outputs)} of {event.images} images came")
                return Generated(
                    outputs=tuple(outputs),
                    warnings=event.warnings,
                    timings=event.timings,
                    uploaded_ms=now_ms(),
                    stages=self._position.stages or {},
                )
            case Error():
                raise _failure(event)
            case Canceled():
                # Nobody here has asked for it: the replica is on its way out.
                raise ServeUnavailable("the replica gave the job up")
        return None

    async def _start(self, replica: str) -> None:
        def write() -> None:
            now = now_ms()
            self.held = start(self._table, self.held, now_ms=now, until_ms=self._until(now))

        async with self._writing:
            await in_thread(write)
        log_transition("started", self._job, attempt=self.held.attempt, replica=replica)

    def _advance(self, progress: Progress) -> None:
        stages = dict(self._position.stages or {})
        stages.setdefault(progress.stage, now_ms())
        self._position = Position(
            stage=progress.stage, step=progress.step, total=progress.total, stages=stages
        )

    def _upload(self, image: Image) -> ImageOutput:
        data = base64.b64decode(image.data)
        if hashlib.sha256(data).hexdigest() != image.sha256:
            raise ServeUnavailable("an image was damaged on its way from Serve")
        job = self._job
        key = output_key(
            job.prefix,
            job.id,
            attempt_suffix(job.uid, self.held.attempt),
            image.index + 1,
            job.input.output_format.extension,
        )
        self._store.put(key, data, media_type=image.media_type)
        return ImageOutput(
            key=key,
            media_type=image.media_type,
            sha256=image.sha256,
            bytes=len(data),
            width=image.width,
            height=image.height,
            seed=image.seed,
        )

    async def _keep_ticking(self) -> None:
        """Tick at most once a second, when something changed or five seconds passed."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            if self._position == self._recorded and time.monotonic() - last < _IDLE_TICK_S:
                continue
            try:
                async with self._writing:
                    position = replace(self._position)
                    until = self._until(now_ms())
                    asked = await in_thread(tick, self._table, self.held, position, until_ms=until)
            except Unavailable as error:
                # The lease lasts for several more ticks; the GPU's work is not to be lost of it.
                structlog.get_logger().warning("tick missed", reason=str(error))
                continue
            self._recorded, last = position, time.monotonic()
            if asked:
                raise CancelRequested

    def _until(self, now_ms: int) -> int:
        return now_ms + int(self._lease_s * 1000)


def _failure(event: Error) -> BridgeError:
    """The error that a replica's last line stands for."""
    if event.code is ErrorCode.OUT_OF_MEMORY:
        return OutOfMemory(event.message or "out of memory")
    if event.retryable:
        return ServeUnavailable(f"the replica said {event.code}")
    return JobRefused(event.code, event.message)
