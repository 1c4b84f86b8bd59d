"""Running a task once, or again and again where no timer runs it."""

import signal
import threading
from collections.abc import Callable, Sequence


def run(once: Callable[[], bool], arguments: Sequence[str]) -> int:
    """The process's exit status after one call, or with `--every SECONDS` after SIGTERM.

    `once` says whether it got through.
    """
    if arguments[:1] != ["--every"]:
        return 0 if once() else 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(float(arguments[1])):
        once()
    return 0
