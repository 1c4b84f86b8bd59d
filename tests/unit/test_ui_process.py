"""`python -m gradio_ui` as a process: how it starts, what it serves, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(port: int, temp: Path) -> subprocess.Popen[str]:
    # No API behind it: the page must start before the API does.
    environ = {
        **os.environ,
        "DARKROOM_API_URL": "http://127.0.0.1:9",
        "DARKROOM_UI_PORT": str(port),
        "TMPDIR": str(temp),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "gradio_ui"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, subprocess.Popen]]:
    """The running page: its URL, its temporary folder, its process."""
    temp = tmp_path_factory.mktemp("ui")
    process = _start(_free_port(), temp)
    line = process.stdout.readline()
    assert line, process.stderr.read()
    yield json.loads(line)["url"], temp, process
    process.kill()
    process.communicate()


def test_it_answers_once_it_has_said_that_it_is_ready(page):
    """The line has the address; the page forbids the browser to load from elsewhere."""
    answer = httpx.get(page[0])
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_none_of_its_events_is_offered_as_an_api(page):
    """The API is the API; the page is for people."""
    info = httpx.get(f"{page[0]}/gradio_api/info").json()
    assert info["named_endpoints"] == {}
    assert info["unnamed_endpoints"] == {}


@pytest.mark.parametrize("path", [__file__, "/etc/passwd", "pyproject.toml"])
def test_it_gives_away_no_file_that_is_not_its_own(page, path):
    """Gradio serves files by path; none is allowed but its cache."""
    assert httpx.get(f"{page[0]}/gradio_api/file={path}").status_code == 403


def test_a_port_that_is_taken_is_one_sentence(page, tmp_path):
    """No traceback, and an exit code that says so."""
    port = int(page[0].rpartition(":")[2])
    other = _start(port, tmp_path)
    out, err = other.communicate(timeout=60)
    assert other.returncode == 1
    assert out == ""
    assert f"cannot listen on 127.0.0.1:{port}" in err
    assert "Traceback" not in err


def test_sigterm_ends_it_with_zero_and_leaves_nothing(page):
    """The last test of this module: it ends the page that the others use."""
    _, temp, process = page
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert not [*temp.glob("darkroom-ui-*")]
