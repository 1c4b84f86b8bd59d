"""Ending what Ray leaves running."""

import subprocess
import sys

import psutil
import pytest

from serve_app import remains


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
    """Whatever it would still have done."""
    stubborn = started("import time; print(1, flush=True); time.sleep(60)")
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
