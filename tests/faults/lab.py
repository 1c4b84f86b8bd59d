"""A system whose parts can be killed: emulated AWS, real API and bridges, a Serve that is told.

Everything is a process of its own, on loopback, below one directory.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from darkroom import emulator
from darkroom.cloud import Cloud, create_cloud
from darkroom.ports import HOST, Ports, is_free
from darkroom.process import StackProcess
from jobs.catalogue import Catalogue

ROOT = Path(__file__).resolve().parents[2]
_READY_S = 120
_STOP_RAY_S = 30
_CATALOGUE = """
runtimes:
  demo:
    replicas: {max: 1, admit_window: 8}
    models:
      tiny:
        path: tiny
        defaults: {width: 64, height: 64, num_inference_steps: 2, guidance_scale: 5.0}
        limits: {max_side: 256, max_pixels: 65536}
"""


class Lab:
    """Use `Lab.running`; it stops everything that it has started."""

    def __init__(
        self, home: Path, *, visibility_s: int, faults: Mapping[str, str], on_ray: bool
    ) -> None:
        self.home = home
        self.on_ray = on_ray
        self.visibility_s = visibility_s
        self.faults = dict(faults)
        self.generations = home / "generations.jsonl"
        self.crashes = home / "crashes"
        self.processes: dict[str, StackProcess] = {}
        self._ports = Ports.free()
        self.cloud: Cloud

    @classmethod
    @contextmanager
    def running(
        cls,
        *,
        visibility_s: int = 5,
        faults: Mapping[str, str] | None = None,
        on_ray: bool = False,
        **stub: str,
    ) -> Iterator[Self]:
        """A lab from here to the end of the block. `stub` are STUB_* variables.

        `on_ray` has the stub pipeline in a real Serve, which takes half a minute to come up.
        """
        with tempfile.TemporaryDirectory(prefix="darkroom-lab-") as home:
            lab = cls(Path(home), visibility_s=visibility_s, faults=faults or {}, on_ray=on_ray)
            try:
                lab._start(stub)
                yield lab
            finally:
                for name in reversed(list(lab.processes)):
                    lab.kill(name)

    def _start(self, stub: Mapping[str, str]) -> None:
        (self.home / "runtimes.yaml").write_text(_CATALOGUE)
        self.spawn(
            "aws",
            ["ministack"],
            SERVICES="dynamodb,s3,sns,sqs",
            **emulator.settings(self._ports.aws, self.home),
        )
        self._start_serve(stub)
        self.processes["aws"].wait_until(lambda: emulator.answers(self.aws_url), timeout_s=_READY_S)
        self.cloud = create_cloud(
            Catalogue.from_yaml(_CATALOGUE),
            connect=self.client,
            subscribers=["checker"],
            visibility_s=self.visibility_s,
        )

    @property
    def aws_url(self) -> str:
        return f"http://{HOST}:{self._ports.aws}"

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self._ports.api}"

    @property
    def serve_url(self) -> str:
        return f"http://{HOST}:{self._ports.serve}" + ("/demo" if self.on_ray else "")

    def client(self, service: str) -> Any:
        """A boto3 client in good weather."""
        return emulator.client(self.aws_url, service)

    def _start_serve(self, stub: Mapping[str, str]) -> None:
        """Serve with the stub pipeline; without Ray it may not listen yet."""
        told = {"STUB_LOG": str(self.generations), **stub}
        if not self.on_ray:
            self.spawn("serve", ["tests.faults.stub_serve", str(self._ports.serve)], **told)
            return
        serve = self.spawn(
            "serve",
            ["tests.faults.real_serve"],
            DARKROOM_RUNTIMES=str(self.home / "runtimes.yaml"),
            DARKROOM_SERVE_PORT=str(self._ports.serve),
            DARKROOM_DASHBOARD_PORT=str(self._ports.dashboard),
            DARKROOM_RAY_TEMP=str(self.home / "ray"),
            **told,
        )
        serve.wait_until(lambda: serve.ready_line() is not None, timeout_s=_READY_S)

    def kill_replica(self) -> None:
        """`kill -9` to the process that paints; Serve replaces it by itself."""
        os.kill(int(self.began()[-1]["pid"]), signal.SIGKILL)

    def start_api(self) -> None:
        """The API, and wait for it."""
        self.spawn("api", ["tests.faults.faulty", "api.__main__"], **self._ours(), **self.faults)
        self.processes["api"].wait_until(
            lambda: emulator.answers(f"{self.api_url}/healthz"), timeout_s=_READY_S
        )

    def start_bridge(self, name: str = "bridge-1", **environ: str) -> StackProcess:
        """A bridge; `environ` goes over what bridges are told here."""
        told = {
            **self._ours(),
            "HOSTNAME": name,
            "DARKROOM_SERVE_URL": self.serve_url,
            "DARKROOM_LONG_POLL_S": "1",
            "DARKROOM_VISIBILITY_S": str(self.visibility_s),
            "DARKROOM_LEASE_S": str(self.visibility_s),
            "DARKROOM_START_TIMEOUT_S": "30",
            "CRASH_LOG": str(self.crashes),
        }
        command = ["tests.faults.faulty", "bridge"]
        return self.spawn(name, command, **(told | self.faults | environ))

    def start_timers(self) -> None:
        """The sweeper and the worker for dead letters."""
        for name in ("sweeper", "dead_letters"):
            command = ["tests.faults.faulty", f"bridge.{name}", "--every", "2"]
            self.spawn(name, command, **self._ours(), **self.faults)

    def spawn(self, name: str, command: list[str], **environ: str) -> StackProcess:
        """A process of this Python, by its module and arguments."""
        process = StackProcess(
            name,
            [sys.executable, "-m", *command],
            env=self._bare() | environ,
            log=self.home / f"{name}.log",
        )
        self.processes[name] = process
        return process

    def kill(self, name: str) -> None:
        """`kill -9`; Ray is stopped, as it would leave its agents behind."""
        process = self.processes.pop(name)
        if name == "serve" and self.on_ray:
            process.stop(grace_s=_STOP_RAY_S)
            return
        if process.running:
            os.kill(process.pid, signal.SIGKILL)
        process.stop(grace_s=0)

    def log_of(self, name: str) -> str:
        """What a process has logged so far."""
        return (self.home / f"{name}.log").read_text("utf-8", "replace")

    def began(self) -> list[dict[str, Any]]:
        """The lines of the stub's log."""
        if not self.generations.exists():
            return []
        return [json.loads(line) for line in self.generations.read_text().splitlines()]

    def environ(self) -> dict[str, str]:
        """The variables of one of our programs, in good weather."""
        return self._bare() | self._ours()

    def _bare(self) -> dict[str, str]:
        return emulator.without_aws() | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def _ours(self) -> dict[str, str]:
        queues = self.cloud.queues["demo"]
        return {
            **emulator.addressed(self.aws_url),
            "DARKROOM_RUNTIME": "demo",
            "DARKROOM_RUNTIMES": str(self.home / "runtimes.yaml"),
            "DARKROOM_API_PORT": str(self._ports.api),
            "DARKROOM_API_KEYS": "",
            "DARKROOM_JOB_TABLE": self.cloud.table,
            "DARKROOM_BUCKET": self.cloud.bucket,
            "DARKROOM_JOBS_TOPIC_ARN": self.cloud.jobs_topic_arn,
            "DARKROOM_NOTICES_TOPIC_ARN": self.cloud.notices_topic_arn,
            "DARKROOM_WEBHOOKS_QUEUE_URL": self.cloud.webhooks_queue,
            "DARKROOM_QUEUE_URL": queues.jobs,
            "DARKROOM_DEAD_LETTERS_QUEUE_URL": queues.dead_letters,
            "DARKROOM_PARKED_QUEUE_URL": queues.parked,
        }


def listening(port: int) -> bool:
    """Whether somebody listens on this port."""
    return not is_free(port)
