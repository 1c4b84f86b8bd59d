"""What a run tells: lines (or a spinner) for people, and a log file with times for later."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from darkroom.screen import people, waiting


class Journal:
    """The account of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def note(self, text: str) -> None:
        """For the log file only: what programs print."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self.path.open("a", encoding="utf-8") as log:
            log.writelines(f"{now} {line}\n" for line in text.splitlines())

    def say(self, text: str) -> None:
        """For people and for the log."""
        people.print(text, markup=False)
        self.note(text)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """A spinner, or a line, while it takes; how long it took goes to the log."""
        self.note(f"begin: {what}")
        began = time.monotonic()
        with waiting(what):
            yield
        self.note(f"end: {what} ({time.monotonic() - began:.1f} s)")
