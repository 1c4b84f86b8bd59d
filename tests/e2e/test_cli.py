"""The command line against the running stack."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from client.client import Client
from darkroom.stack import Stack
from jobs.samples import sample_request
from jobs.status import Status

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(stack: Stack) -> dict[str, str]:
    """What a person has set who uses this stack's API."""
    return {
        **os.environ,
        "DARKROOM_API_URL": stack.api_url,
        "DARKROOM_API_KEY": stack.api_key,
    }


@pytest.fixture
def darkroom(environ: dict[str, str], tmp_path: Path) -> Run:
    """Run `darkroom` with some arguments, in an empty directory."""

    def run(*arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "darkroom", *arguments],
            env={**environ, **changed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_submit_downloads_the_image_and_prints_its_path(darkroom: Run, tmp_path: Path):
    """The path on stdout, everything for people on stderr."""
    done = darkroom("submit", "a red circle", "--seed", "3", "--out", "pictures")
    assert done.returncode == 0, done.stderr
    path = tmp_path / done.stdout.strip()
    assert path.parent == tmp_path / "pictures"
    assert Image.open(path).size == (64, 64)
    assert "succeeded" in done.stderr
    assert "\x1b" not in done.stderr  # no colours and no spinner where nobody watches


def test_every_task_can_be_submitted_with_pictures_from_files(darkroom: Run, tmp_path: Path):
    """Image and mask are read, encoded and sent."""
    for name in ("image.png", "mask.png"):
        Image.new("RGB", (64, 64), "white").save(tmp_path / name)
    arguments = ("--task", "inpaint", "--image", "image.png", "--mask", "mask.png")
    done = darkroom("submit", "a star", *arguments, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)
    assert view["input"]["task"] == "inpaint"
    assert len(view["outputs"]) == 1


def test_without_waiting_submit_prints_the_uid(darkroom: Run, client: Client):
    """To be watched later."""
    done = darkroom("submit", "a square")
    assert done.returncode == 0, done.stderr
    uid = done.stdout.strip()
    watched = darkroom("jobs", "watch", uid, "--json")
    assert watched.returncode == 0, watched.stderr
    assert json.loads(watched.stdout)["status"] == "succeeded"
    assert client.job(uid).status is Status.SUCCEEDED


def test_jobs_are_listed_shown_and_deleted(darkroom: Run, client: Client):
    """For people as a table, for programs as JSON."""
    uid = client.submit({**sample_request(), "id": "for-the-list"}).uid
    client.wait(uid, timeout_s=120)
    assert uid in darkroom("jobs", "list").stderr
    listed = json.loads(darkroom("jobs", "list", "--json", "--limit", "3").stdout)
    assert len(listed["data"]) == 3
    shown = darkroom("jobs", "show", "for-the-list")
    assert uid in shown.stderr
    assert "denoise" in shown.stderr
    assert json.loads(darkroom("jobs", "show", uid, "--json").stdout)["id"] == "for-the-list"
    assert darkroom("jobs", "delete", uid).returncode == 0
    assert client.job(uid).deleted


def test_words_that_the_model_does_not_know_are_told(darkroom: Run, client: Client):
    """With those that it knows; of the negative prompt, too, and where that was cut off."""
    wanted = {"prompt": "a red dragon", "negative_prompt": "a blue unicorn" + " and red" * 20}
    uid = client.submit({"runtime": "first", "model": "demo", "input": wanted}).uid
    cut, warning = client.wait(uid, timeout_s=120).warnings
    unknown, known = warning.split("; it knows ")
    assert cut == "the negative prompt has 50 tokens, the model read the first 32"
    assert unknown == "the model does not know dragon, unicorn"
    assert {"circle", "red", "blue"} <= set(known.split(", "))
    assert "does not know dragon, unicorn" in " ".join(darkroom("jobs", "show", uid).stderr.split())


def test_a_job_is_canceled(darkroom: Run, client: Client, slow_request: Callable[..., dict]):
    """And to watch a canceled job is a failure for a script."""
    uid = client.submit(slow_request()).uid
    assert darkroom("jobs", "cancel", uid).returncode == 0
    assert client.wait(uid, timeout_s=120).status is Status.CANCELED
    assert darkroom("jobs", "watch", uid).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("submit", ""), 1, "/input/prompt"),
        (("submit", "x", "--model", "nosuch"), 1, "/model: must be one of demo, tiny-first"),
        (("submit", "x", "--image", "nosuch.png"), 2, "cannot read nosuch.png"),
        (("submit",), 2, "Missing"),
        (("jobs", "show", "nosuch"), 1, "you have no job of this id"),
        (("jobs", "list", "--limit", "1000"), 2, "--limit"),
        (("jobs", "list", "--url", "http://127.0.0.1:9"), 1, "does not answer"),
        (("jobs", "list", "--key", "wrong"), 1, "send your key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_goes_wrong_is_said_in_a_sentence_and_an_exit_status(
    darkroom: Run, arguments: tuple[str, ...], status: int, words: str
):
    """1: the job or the request; 2: the command. Never a traceback."""
    failed = darkroom(*arguments)
    assert failed.returncode == status, failed.stderr
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr
    assert failed.stdout == ""


def test_without_an_api_the_next_step_is_named(darkroom: Run):
    """No stack here, no variable set."""
    lost = darkroom("jobs", "list", DARKROOM_API_URL="", DARKROOM_API_KEY="")
    assert lost.returncode == 2
    assert "darkroom up" in lost.stderr


def test_ctrl_c_while_watching_is_130(
    environ: dict[str, str], client: Client, slow_request: Callable[..., dict]
):
    """As a shell expects it; the job goes on."""
    uid = client.submit(slow_request()).uid
    watching = subprocess.Popen(
        [sys.executable, "-m", "darkroom", "jobs", "watch", uid],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs us in the background has children ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert watching.stderr is not None
    watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=30) == 130
    client.cancel(uid)


def test_doctor_says_what_is_here(darkroom: Run):
    """Versions and ports, as a table and as JSON."""
    healthy = darkroom("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(healthy.stdout)}
    assert healthy.returncode == 0, healthy.stdout
    assert checks["ray"]["found"]
    assert checks["python"]["ok"]
    assert "ray" in darkroom("doctor").stderr
