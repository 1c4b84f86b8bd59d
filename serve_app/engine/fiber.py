"""A pipeline call that can be parked in the middle: the reason why batching here is exact.

The pipeline's own code runs, unchanged, in a greenlet. Whatever it calls that costs time is a
stand-in (`standin.py`) that parks the fiber with a request and comes back with the answer. So
the loop, the scheduler, guidance, masks and random numbers are Diffusers' own, for every
pipeline class, and preempting a job means not resuming it.
"""

from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

#: What a fiber may wait for: a `Forward` or an `Aside`.
Request = Any


class Fiber:
    """One call that runs from park to park, always on the thread that made the fiber."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._greenlet = greenlet(call)
        self.result: Any = None

    def resume(self, answer: Any = None) -> Request | None:
        """Go on with the answer to the last request; the next request, or None at the end.

        What the call raises, `resume` raises.
        """
        return self._ran(self._greenlet.switch(answer) if self._greenlet else self._start())

    def throw(self, error: BaseException) -> Request | None:
        """As `resume`, but the parked call raises `error`."""
        if not self._greenlet:  # never started: there is nothing to unwind
            raise error
        return self._ran(self._greenlet.throw(error))

    @property
    def is_done(self) -> bool:
        """Whether the call has returned or raised."""
        return bool(self._greenlet.dead)

    def _start(self) -> Any:
        return self._greenlet.switch()

    def _ran(self, value: Any) -> Request | None:
        if not self._greenlet.dead:
            return value
        self.result = value
        return None


def park(request: Request) -> Any:
    """Called within a fiber: hand `request` to whoever drives it, return with the answer."""
    driver = getcurrent().parent
    assert driver is not None  # only stand-ins call this, and they live in fibers
    return driver.switch(request)
