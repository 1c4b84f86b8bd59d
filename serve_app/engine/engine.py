"""The engine: one thread that launches every denoising step, for whoever needs one."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import torch

from serve_app.engine import exclusive, preview
from serve_app.engine.aside import Aside, AsidePool
from serve_app.engine.call import Call
from serve_app.engine.cast import Cast, can_share
from serve_app.engine.forward import Forward
from serve_app.engine.order import Made, Order, Ticket
from serve_app.engine.policy import POLICIES
from serve_app.engine.text_cache import TextCache
from serve_app.engine.tick import Tick
from serve_app.errors import Stopped

Message = Callable[[], None]

#: A pipeline takes some milliseconds up to its first park; a burst of them, read at once, would
#: hold up the steps of all others.
READING_S = 0.01


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How a replica shares its device."""

    policy: str = "shortest"
    #: Threads for encoding and decoding beside the tick; 0: on its own, between two steps.
    aside_threads: int = 2
    #: Threads of PyTorch within one forward; more than cores spin against each other.
    torch_threads: int | None = None

    @classmethod
    def of_replica(cls, *, policy: str, device: str, threads: int) -> "EngineSettings":
        """With asides between two steps where these have several CPU threads (docs/engine.md)."""
        several = device == "cpu" and threads > 1
        asides = 0 if several else cls.aside_threads
        return cls(policy=policy, aside_threads=asides, torch_threads=threads)


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What the engine still has to do; the autoscaler reads it."""

    row_steps: int
    seconds: float


class Engine:
    """Makes orders, as many at a time as there are; one engine per device.

    Without `own_thread` nothing happens until somebody calls `run`: with several threads a
    forward, a script had better give the process's first thread (docs/engine.md).
    """

    def __init__(self, settings: EngineSettings, *, own_thread: bool = True) -> None:
        self._settings = settings
        #: Whatever other threads want is a message: the tick's thread alone touches calls.
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._calls: dict[int, Call] = {}
        self._cast = Cast(TextCache())
        self._tick = Tick(POLICIES[settings.policy]())
        self._pool = AsidePool(settings.aside_threads)
        self._asides = 0
        self._exclusive: deque[Call] = deque()
        self._is_closed = False
        self._thread: threading.Thread | None = None
        if own_thread:
            self._thread = threading.Thread(target=self.run, name="tick", daemon=True)
            self._thread.start()

    def submit(self, order: Order) -> Ticket:
        """Make the order; returns at once."""
        ticket = Ticket(self._cancel, self._preview)
        if self._is_closed:
            ticket.future.set_exception(Stopped())
            return ticket
        self._inbox.put(partial(self._admit, Call(order, ticket)))
        return ticket

    def backlog(self) -> Backlog:
        """All that is admitted, a moment ago."""
        calls = list(self._calls.values())
        row_steps = sum(call.order.rows * max(0, call.total - call.step) for call in calls)
        return Backlog(row_steps=row_steps, seconds=row_steps * self._tick.row_step_s)

    def compile(self, module: Any) -> None:
        """Use a compiled twin of a denoiser, once it has become warm beside the work."""
        self._tick.compiled.add(module)

    @property
    def busy_s(self) -> float:
        """Seconds that forwards have taken since the start."""
        return self._tick.busy_s

    def close(self) -> None:
        """Stop every call, then the threads; whoever is in `run` comes back."""
        self._inbox.put(self._stop_all)
        if self._thread is not None:
            self._thread.join()

    def _cancel(self, ticket: Ticket) -> None:
        self._inbox.put(partial(self._stop, ticket))

    def _preview(self, ticket: Ticket, picture: Future[Any]) -> None:
        self._inbox.put(partial(self._show, ticket, picture))

    # Everything below runs on the tick's thread.

    def run(self) -> None:
        """Be the tick's thread until `close`."""
        torch.set_grad_enabled(False)  # per thread; all fibers live on this one
        if self._settings.torch_threads is not None:
            torch.set_num_threads(self._settings.torch_threads)
        while not self._is_closed:
            alone = self._next_exclusive()
            if alone is not None and not self._asides:
                self._make_alone(alone)
                self._read(wait=False)
            elif alone is not None or not self._can_step():
                self._read(wait=True)
            else:
                self._step()
                self._read(wait=False)
        while not self._inbox.empty():  # orders that came while we closed must end too
            self._read(wait=False)
        self._pool.close()
        self._tick.compiled.close()

    def _can_step(self) -> bool:
        return any(isinstance(call.waiting, Forward) for call in self._calls.values())

    def _read(self, *, wait: bool) -> None:
        """Do what the messages say, for a while: who is under way should not wait for all."""
        until = time.monotonic() + READING_S
        try:
            self._inbox.get(block=wait)()
            while time.monotonic() < until:
                self._inbox.get(block=False)()
        except Empty:
            pass

    def _admit(self, call: Call) -> None:
        self._calls[id(call.ticket)] = call
        if self._is_closed or call.ticket.is_canceled:
            self._end(call, Stopped())
        elif can_share(call.order):
            self._advance(call, lambda: call.start(self._cast.of(call.order.pipeline)))
        else:
            self._exclusive.append(call)

    def _step(self) -> None:
        for call, outcome in self._tick.step(self._calls.values()):
            if isinstance(outcome, Exception):
                self._advance(call, partial(call.throw, outcome))
            else:
                self._advance(call, partial(call.resume, outcome))

    def _advance(self, call: Call, move: Callable[[], None]) -> None:
        """Let the call run to its next park; whatever it raises ends it and nobody else."""
        try:
            move()
        except Exception as error:  # noqa: BLE001  # the pipeline is code of others
            self._end(call, error)
            return
        if isinstance(call.waiting, Aside):
            call.begin(call.waiting.stage)
            self._asides += 1
            self._pool.submit(call.waiting, partial(self._aside_done, call))
        elif isinstance(call.waiting, Forward):
            call.begin("denoise")
        elif call.is_done:
            self._end(call, call.made())

    def _aside_done(self, call: Call, future: Future[Any]) -> None:
        # Where there are threads for asides, still in one of them.
        self._inbox.put(partial(self._return, call, future))

    def _return(self, call: Call, future: Future[Any]) -> None:
        self._asides -= 1
        if id(call.ticket) not in self._calls:
            return  # stopped meanwhile
        error = future.exception()
        if error is not None:
            self._advance(call, partial(call.throw, error))
        else:
            self._advance(call, partial(call.resume, future.result()))

    def _end(self, call: Call, outcome: Made | Exception) -> None:
        del self._calls[id(call.ticket)]
        call.end()
        if isinstance(outcome, Made):
            call.ticket.future.set_result(outcome)
        else:
            call.ticket.future.set_exception(outcome)

    def _stop(self, ticket: Ticket) -> None:
        call = self._calls.get(id(ticket))
        if call is None:
            return
        if call in self._exclusive:
            self._exclusive.remove(call)
        self._advance(call, partial(call.throw, Stopped()))

    def _stop_all(self) -> None:
        self._is_closed = True
        for call in list(self._calls.values()):
            self._stop(call.ticket)

    def _next_exclusive(self) -> Call | None:
        """The call to make alone next, once nobody older is under way: nobody waits for ever."""
        if not self._exclusive:
            return None
        first = self._exclusive[0]
        is_oldest = all(first.arrived <= call.arrived for call in self._calls.values())
        return first if is_oldest else None

    def _make_alone(self, call: Call) -> None:
        self._exclusive.popleft()
        try:
            output = exclusive.make(call)
        except Exception as error:  # noqa: BLE001  # the pipeline is code of others
            self._end(call, error)
        else:
            self._end(call, call.made(output, was_exclusive=True))

    def _show(self, ticket: Ticket, picture: Future[Any]) -> None:
        call = self._calls.get(id(ticket))
        try:
            aside = None if call is None else call.preview()
        # A scheduler that nobody thought of must not end the thread that all others need.
        except Exception as error:  # noqa: BLE001
            picture.set_exception(error)
            return
        if aside is None:
            picture.set_result(None)
        else:
            self._pool.submit(aside, partial(preview.deliver, picture))
