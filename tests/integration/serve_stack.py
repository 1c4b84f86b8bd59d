"""`python -m serve_app` as a process of its own, for tests that talk to it over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import yaml

from jobs.job import Job
from jobs.stream import EVENT, LAST_EVENTS
from jobs.uid import new_uid

ROOT = Path(__file__).resolve().parents[2]
#: No test of ours takes as long; a hang ends here.
TIMEOUT_S = 90
MODEL = {
    "path": "tiny",
    "defaults": {"width": 64, "height": 64, "num_inference_steps": 3, "guidance_scale": 5.0},
    "limits": {
        "max_side": 128,
        "max_pixels": 128 * 128,
        "max_num_inference_steps": 1000,
        "max_num_images_per_prompt": 4,
    },
    "schedulers": ["EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "PNDMScheduler"],
}


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_job(*, runtime="demo", model="tiny", uid=None, **wanted):
    """An accepted job with that input; text-to-image unless it says otherwise."""
    uid = uid or new_uid()
    return Job(
        uid=uid,
        id=uid,
        runtime=runtime,
        model=model,
        prefix="default",
        created_at=datetime.now(UTC),
        input={"task": "text-to-image", "prompt": "a red circle", "seed": 7, **wanted},
    )


class ServeStack:
    """A running stack, and how its tests speak with it."""

    def __init__(self, folder, process, url):
        self.folder = folder
        self.process = process
        self.url = url

    def post(self, job, runtime="demo"):
        """A stream of `POST /generate`, as a context manager."""
        body = job if isinstance(job, bytes) else job.encode()
        return httpx.stream(
            "POST", f"{self.url}/{runtime}/generate", content=body, timeout=TIMEOUT_S
        )

    def events(self, job):
        """All events of a job; the last is a last one."""
        with self.post(job) as answer:
            assert answer.status_code == 200, answer.read()
            events = [EVENT.validate_json(line) for line in answer.iter_lines()]
        assert isinstance(events[-1], LAST_EVENTS)
        return events

    def capacity(self, runtime="demo"):
        """`GET /capacity`."""
        return httpx.get(f"{self.url}/{runtime}/capacity", timeout=TIMEOUT_S).json()

    def processes(self):
        """The stack's own process and all below it."""
        mine = psutil.Process(self.process.pid)
        return [mine, *mine.children(recursive=True)]

    def replica(self):
        """The process of the generator's only replica."""
        title = "ray::ServeReplica:demo:generator"
        (found,) = [p for p in self.processes() if " ".join(p.cmdline()).startswith(title)]
        return found

    def logs(self):
        """All text that the stack has logged."""
        folder = self.folder / "ray" / "session_latest" / "logs"
        files = [path for path in folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_text(errors="replace") for path in files)

    def transitions(self, job):
        """The words that replicas logged of `job`, in order."""
        lines = [line for line in self.logs().splitlines() if job.uid in line]
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]


@contextmanager
def running_stack():
    """A stack with the runtimes `demo`, and `broken` whose model goes away once it is up."""
    # Not pytest's directory: Ray's sockets need a short path.
    folder = Path(tempfile.mkdtemp(prefix="serve-", dir="/tmp"))
    process = None
    try:
        _write(folder)
        process = _start(folder)
        ready = json.loads(process.stdout.readline() or "{}")
        assert ready.get("ready"), (folder / "stderr").read_text()
        shutil.rmtree(folder / "gone")
        yield ServeStack(folder, process, ready["serve_url"])
    finally:
        try:
            if process is not None:
                with process.stdout:
                    stop(process)
        finally:
            shutil.rmtree(folder)


def stop(process):
    """End the stack; what it leaves running is ended too, and is a failure."""
    if process.poll() is None:
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT_S)
        _, left = psutil.wait_procs(below, timeout=10)
        named = [f"{survivor.pid} {survivor.name()}" for survivor in left]
        for survivor in left:
            survivor.kill()
        assert (code, named) == (0, []), f"exit status {code}, left: {named}"


def _write(folder):
    build = ROOT / "models" / "build_tiny.py"
    subprocess.run([sys.executable, build, folder / "tiny"], check=True, capture_output=True)
    build_other = Path(__file__).with_name("tiny_models.py")
    subprocess.run(
        [sys.executable, build_other, "sdxl", folder / "xl"], check=True, capture_output=True
    )
    shutil.copytree(folder / "tiny", folder / "gone")
    runtimes = {
        "demo": {
            "models": {"tiny": MODEL, "xl": {**MODEL, "path": "xl"}},
            "default_model": "tiny",
        },
        "broken": {"models": {"tiny": {**MODEL, "path": "gone"}}},
    }
    (folder / "runtimes.yaml").write_text(yaml.safe_dump({"runtimes": runtimes}))


def _start(folder):
    with (folder / "stderr").open("w") as stderr:
        return _process(folder, stderr)


def _process(folder, stderr):
    return subprocess.Popen(
        [sys.executable, "-m", "serve_app"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={
            **os.environ,
            "DARKROOM_RUNTIMES": str(folder / "runtimes.yaml"),
            "DARKROOM_MODELS_ROOT": str(folder),
            "DARKROOM_SERVE_PORT": str(free_port()),
            "DARKROOM_DASHBOARD_PORT": str(free_port()),
            "DARKROOM_RAY_TEMP": str(folder / "ray"),
            "DARKROOM_LOG": "json",
        },
    )
