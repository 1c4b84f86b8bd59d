"""A process of the local stack: started in its own group, stopped with it."""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from darkroom.errors import StackError

#: From Linux's prctl.h: the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
#: How many of its last lines are shown of a process that did not come up.
_LAST_LINES = 12


class StackProcess:
    """One process with its log file. Its stdout and stderr go there."""

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own programs
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own: Ctrl-C in the terminal is for us alone, who stop the
                # others in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # started by the main thread
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until `ready`; `StackError` with the log's last lines if that never comes."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise StackError(f"{self.name} has ended:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} is not ready after {timeout_s:g} s:\n{self.last_lines()}"
                )
            # Nothing to wait on: readiness is an answer on a socket or a line in a file.
            time.sleep(0.05)

    def ready_line(self) -> dict[str, Any] | None:
        """The JSON object with `"ready": true` that some programs print when they listen."""
        for line in self.log.read_text("utf-8", "replace").splitlines():
            if line.startswith("{") and '"ready"' in line:
                announced: dict[str, Any] = json.loads(line)
                return announced
        return None

    def last_lines(self) -> str:
        """The end of its log, for a person to read."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])

    def stop(self, *, grace_s: float) -> int | None:
        """SIGTERM, and SIGKILL to what is left of its group; the exit status."""
        if self.running:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
