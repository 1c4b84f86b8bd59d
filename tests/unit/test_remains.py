"""Ending what Ray leaves running."""

import subprocess
import sys
import time

import psutil
import pytest

from serve_app import remains

#: Says that it is ready, then goes on whatever it is told.
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
    "time.sleep(60)"
)


@pytest.fixture
def started():
    """Starts a program of that text; all of them are gone at the end."""
    running = []

    def start(text):
        process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
        running.append(process)
        process.stdout.readline()
        return psutil.Process(process.pid)

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_that_does_not_end_is_killed(started):
    """Also one that ignores SIGTERM."""
    stubborn = started(STUBBORN)
    remains.end([stubborn], grace_s=0.1)
    assert not stubborn.is_running()


def test_a_process_that_ends_by_itself_is_given_time(started, tmp_path):
    """It does what it still has to do."""
    mark = tmp_path / "mark"
    slow = started(
        "import pathlib, time; print(1, flush=True); time.sleep(0.5); "
        f"pathlib.Path({str(mark)!r}).touch()"
    )
    remains.end([slow])
    assert mark.exists()


def test_nobody_is_waited_for_once_all_have_ended(started):
    """The grace is a limit, not a pause."""
    ended = started("print(1)")
    began = time.monotonic()
    remains.end([ended], grace_s=60)
    assert time.monotonic() - began < 60
