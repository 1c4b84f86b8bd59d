"""Named points between every two steps of a job, at each of which a bridge can be killed.

No line of the bridge knows of them: they are calls on what it works on, which is wrapped.
"""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge.adapters import Adapters
from jobs.status import TERMINAL, Status

_STATUS = {
    Status.STARTING.value: "leased",
    Status.PROCESSING.value: "started",
    **{status.value: "recorded" for status in TERMINAL},
}
STEPS = (
    "received",
    "leased",
    "started",
    "uploaded",
    "documented",
    "recorded",
    "announced",
    "noted",
    "deleted",
)
#: Before a step and after it: between two steps both mean the same place, seen from the one
#: whose answer was lost and from the one that was never begun.
POINTS = tuple(f"{when}_{step}" for step in STEPS for when in ("before", "after"))


def step_of(name: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> str | None:
    """The step that a call on an adapter is, if it is one."""
    match name:
        case "receive":
            return "received"
        case "delete":
            return "deleted"
        case "publish":
            return "announced"
        case "put":
            return "documented" if str(arguments[0]).endswith(".out") else "uploaded"
        case "update":
            change = arguments[1] if len(arguments) > 1 else keywords["change"]
            if "notified_at" in change.set:
                return "noted"
            return _STATUS.get(change.set.get("status", ""))
    return None


def kill_process(point: str, log: Path | None) -> None:
    """Note the point, so that it can be counted, and be gone like after `kill -9`."""
    if log is not None:
        with log.open("a") as file:
            file.write(f"{point}\n")
            file.flush()
            os.fsync(file.fileno())
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class CrashPoint:
    """Dies at the `number`th passing of the point `name`."""

    name: str
    number: int = 1
    log: Path | None = None
    die: Callable[[str, Path | None], None] = kill_process
    passed: int = field(default=0, init=False)

    def wrapped(self, on: Adapters) -> Adapters:
        """`on` with this point in it."""
        parts = ("queue", "table", "store", "notices")
        return replace(on, **{part: _Watched(getattr(on, part), self) for part in parts})

    def reach(self, point: str) -> None:
        """Called at every point."""
        if point != self.name:
            return
        self.passed += 1
        if self.passed == self.number:
            self.die(point, self.log)


class _Watched:
    """An adapter whose calls pass the points before and after them."""

    def __init__(self, target: Any, crash: CrashPoint) -> None:
        self._target = target
        self._crash = crash

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **keywords: Any) -> Any:
            step = step_of(name, arguments, keywords)
            if step is None:
                return found(*arguments, **keywords)
            # Of an empty poll nothing was received.
            if name != "receive":
                self._crash.reach(f"before_{step}")
            result = found(*arguments, **keywords)
            if name != "receive" or result:
                self._crash.reach(f"before_{step}" if name == "receive" else f"after_{step}")
                if name == "receive":
                    self._crash.reach(f"after_{step}")
            return result

        return call
