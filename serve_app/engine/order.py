"""What the engine is asked to do, and what the asker holds while it is done."""

import enum
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any


class Priority(enum.IntEnum):
    """Who goes first within one replica; each replica knows only its own jobs."""

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True, kw_only=True)
class Step:
    """A denoising step that has ended, 1 to `total`."""

    step: int
    total: int


#: Told on the tick's thread: it must return at once.
Listener = Callable[[str, Step | None], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """A pipeline call to be made together with others."""

    #: The engine copies it and never changes it: modules are shared, the scheduler is not.
    pipeline: Any
    #: Of the pipeline's call, in its own names.
    arguments: Mapping[str, Any]
    #: Denoising steps as far as known before it starts.
    steps: int
    #: Rows of each forward: two for each picture with guidance.
    rows: int = 1
    priority: Priority = Priority.INTERACTIVE
    #: `time.monotonic` by which the caller wants it done.
    deadline: float | None = None
    #: Every forward of it has the same number of rows: the same bits in any company.
    deterministic: bool = False
    #: Nothing else is on the device meanwhile: for what had too little memory in company.
    alone: bool = False
    #: Told of each stage as it begins and of each step as it ends.
    listener: Listener | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the pipeline returned, and what it took."""

    output: Any
    #: Seconds per stage: queue, encode, denoise, decode.
    timings: dict[str, float]
    #: True if the engine could not share the call's forwards and ran it alone.
    was_exclusive: bool = False


class Ticket:
    """The asker's end of an order; every method may be called from any thread."""

    def __init__(
        self,
        cancel: Callable[["Ticket"], None],
        preview: Callable[["Ticket", Future[Any]], None],
    ) -> None:
        self.future: Future[Made] = Future()
        # From now on it cannot be canceled from outside: whoever tried would take it from us.
        self.future.set_running_or_notify_cancel()
        self.is_canceled = False
        self._cancel = cancel
        self._preview = preview

    def cancel(self) -> None:
        """Stop it within one step; the future then raises `Stopped`. Nothing if it has ended."""
        self.is_canceled = True
        self._cancel(self)

    def preview(self) -> Future[Any]:
        """A picture of how far it is, decoded off the tick; None before the first step."""
        picture: Future[Any] = Future()
        self._preview(self, picture)
        return picture
