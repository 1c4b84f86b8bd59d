"""The whole system on this machine: started in order, stopped in order, nothing left behind."""

import base64
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from darkroom import emulator
from darkroom.cloud import Cloud, create_cloud
from darkroom.errors import StackError
from darkroom.ports import HOST, Ports
from darkroom.process import StackProcess
from darkroom.signals import undisturbed
from jobs.environment import read_catalogue
from records.keys import DEFAULT_TENANT, key_digest
from records.webhook import WebhookKeys

ROOT = Path(__file__).resolve().parent.parent
#: Seconds; measured 8 with a warm file cache on two cores, much more on the first run.
_START_S = 120
#: Seconds that each part has to stop. A bridge needs its own grace period and a little more, and
#: Serve what Ray takes on a busy machine.
_STOP_S = 30
_BRIDGE_GRACE_S = 10
#: Short, so that each part stops soon; the emulator asks no price for a call.
_LONG_POLL_S = "2"
#: Bytes: logs, Ray's session and the object store's spill.
_DISK_NEEDED = 500 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """What a local stack is to have."""

    ports: Ports = field(default_factory=Ports.free)
    ui: bool = True
    subscribers: tuple[str, ...] = ("demo",)
    #: Seconds that a received message stays hidden without a heartbeat.
    visibility_s: int = 120
    #: Seconds until Serve's last replica goes.
    idle_s: float = 60
    #: Variables for all our processes, over what the stack sets itself.
    environ: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """A running local stack. Use `Stack.running`; it stops everything it started."""

    def __init__(self, options: StackOptions, home: Path) -> None:
        self.options = options
        self.home = home
        self.api_key = secrets.token_urlsafe(24)
        self.ray_token = secrets.token_hex(32)
        self.webhook_key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.processes: dict[str, StackProcess] = {}
        self._cloud: Cloud | None = None

    @classmethod
    @contextmanager
    def running(cls, options: StackOptions | None = None) -> Iterator[Self]:
        """A stack from here to the end of the block."""
        # Short: Ray's sockets lie below it, and their paths may have 107 bytes.
        home = Path(tempfile.mkdtemp(prefix="darkroom-"))
        stack = cls(options or StackOptions(), home)
        try:
            stack.start()
            yield stack
        finally:
            with undisturbed():
                stack.stop()
                shutil.rmtree(home, ignore_errors=True)

    @property
    def cloud(self) -> Cloud:
        """The emulated AWS."""
        if self._cloud is None:
            raise StackError("the stack has not been started")
        return self._cloud

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.options.ports.api}"

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self.options.ports.ui}"

    @property
    def serve_url(self) -> str:
        return f"http://{HOST}:{self.options.ports.serve}"

    @property
    def dashboard_url(self) -> str:
        return f"http://{HOST}:{self.options.ports.dashboard}"

    @property
    def aws_url(self) -> str:
        return f"http://{HOST}:{self.options.ports.aws}"

    def environ(self) -> dict[str, str]:
        """The variables of every process of ours: AWS's own and the project's."""
        found = {
            **emulator.without_aws(),
            **emulator.addressed(self.aws_url),
            "DARKROOM_RUNTIMES": os.environ.get("DARKROOM_RUNTIMES", str(ROOT / "runtimes.yaml")),
            "DARKROOM_MODELS_ROOT": os.environ.get("DARKROOM_MODELS_ROOT", str(ROOT)),
            "DARKROOM_IDLE_S": f"{self.options.idle_s:g}",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            **self.options.environ,
        }
        if self._cloud is not None:
            found |= {
                "DARKROOM_JOB_TABLE": self._cloud.table,
                "DARKROOM_BUCKET": self._cloud.bucket,
                "DARKROOM_JOBS_TOPIC_ARN": self._cloud.jobs_topic_arn,
                "DARKROOM_NOTICES_TOPIC_ARN": self._cloud.notices_topic_arn,
                "DARKROOM_WEBHOOKS_QUEUE_URL": self._cloud.webhooks_queue,
            }
        return found

    def start(self) -> None:
        """Start everything and wait until it answers."""
        if shutil.disk_usage(self.home).free < _DISK_NEEDED:
            raise StackError(f"{self.home.parent} has less than {_DISK_NEEDED >> 20} MiB free")
        catalogue = read_catalogue(self.environ())
        self._start_aws()
        serve = self._start_serve()
        self._cloud = create_cloud(
            catalogue,
            connect=self.connect,
            subscribers=self.options.subscribers,
            visibility_s=self.options.visibility_s,
        )
        api = self.start_api()
        ui = self._start_ui() if self.options.ui else None
        for runtime in catalogue.runtimes:
            self.start_bridge(runtime, 1)
            self._start_dead_letters(runtime)
        self._spawn("sweeper", "bridge.sweeper", "--every", "5")
        key = {"DARKROOM_WEBHOOK_KEYS": self.webhook_key, "DARKROOM_LONG_POLL_S": _LONG_POLL_S}
        self._spawn("webhooks", "bridge.webhooks", **key)
        api.wait_until(lambda: emulator.answers(f"{self.api_url}/healthz"), timeout_s=_START_S)
        serve.wait_until(lambda: serve.ready_line() is not None, timeout_s=_START_S)
        if ui is not None:
            ui.wait_until(lambda: ui.ready_line() is not None, timeout_s=_START_S)

    def stop(self) -> None:
        """Stop everything, those first that others need least; bridges drain."""
        order = [n for n in self.processes if n.startswith(("bridge", "dead-letters"))]
        order += [
            n for n in ("ui", "webhooks", "sweeper", "api", "serve", "aws") if n in self.processes
        ]
        for name in order:
            self.stop_part(name)

    def stop_part(self, name: str, *, grace_s: float = _STOP_S) -> int | None:
        """Stop one process; its exit status."""
        return self.processes.pop(name).stop(grace_s=grace_s)

    def start_bridge(self, runtime: str, number: int, **environ: str) -> StackProcess:
        """One more bridge for `runtime`; `environ` goes over what bridges are told here."""
        queues = self.cloud.queues[runtime]
        return self._spawn(
            f"bridge-{runtime}-{number}",
            "bridge",
            HOSTNAME=f"bridge-{runtime}-{number}",
            DARKROOM_RUNTIME=runtime,
            DARKROOM_QUEUE_URL=queues.jobs,
            DARKROOM_PARKED_QUEUE_URL=queues.parked,
            DARKROOM_SERVE_URL=f"{self.serve_url}/{runtime}",
            DARKROOM_VISIBILITY_S=str(self.options.visibility_s),
            DARKROOM_LONG_POLL_S=_LONG_POLL_S,
            **{"DARKROOM_GRACE_S": str(_BRIDGE_GRACE_S), **environ},
        )

    def _start_dead_letters(self, runtime: str) -> StackProcess:
        queues = self.cloud.queues[runtime]
        return self._spawn(
            f"dead-letters-{runtime}",
            "bridge.dead_letters",
            "--every",
            "30",
            DARKROOM_RUNTIME=runtime,
            DARKROOM_QUEUE_URL=queues.jobs,
            DARKROOM_DEAD_LETTERS_QUEUE_URL=queues.dead_letters,
            DARKROOM_PARKED_QUEUE_URL=queues.parked,
        )

    def connect(self, service: str) -> Any:
        """A boto3 client of the emulated AWS."""
        return emulator.client(self.aws_url, service)

    def logs(self) -> str:
        """What all processes have logged so far."""
        files = sorted(self.home.glob("*.log"))
        return "\n".join(file.read_text("utf-8", "replace") for file in files)

    def secrets(self, tenant: str) -> list[str]:
        """What `tenant` verifies our webhooks with."""
        return WebhookKeys.from_text(self.webhook_key).secrets(tenant)

    def _start_aws(self) -> None:
        aws = self._spawn(
            "aws",
            "ministack",
            SERVICES="dynamodb,s3,sns,sqs",
            **emulator.settings(self.options.ports.aws, self.home),
        )
        aws.wait_until(lambda: emulator.answers(self.aws_url), timeout_s=_START_S)

    def _start_serve(self) -> StackProcess:
        return self._spawn(
            "serve",
            "serve_app",
            DARKROOM_SERVE_PORT=str(self.options.ports.serve),
            DARKROOM_DASHBOARD_PORT=str(self.options.ports.dashboard),
            DARKROOM_RAY_TEMP=str(self.home / "ray"),
            RAY_AUTH_TOKEN=self.ray_token,
        )

    def start_api(self) -> StackProcess:
        """The API, at first or again; it does not answer yet."""
        keys = {key_digest(self.api_key): DEFAULT_TENANT}
        return self._spawn(
            "api",
            "api",
            DARKROOM_API_PORT=str(self.options.ports.api),
            DARKROOM_API_KEYS=self.options.environ.get("DARKROOM_API_KEYS", json.dumps(keys)),
        )

    def _start_ui(self) -> StackProcess:
        return self._spawn(
            "ui",
            "gradio_ui",
            DARKROOM_UI_PORT=str(self.options.ports.ui),
            DARKROOM_API_URL=self.api_url,
            DARKROOM_API_KEY=self.api_key,
        )

    def _spawn(self, name: str, module: str, *arguments: str, **environ: str) -> StackProcess:
        process = StackProcess(
            name,
            [sys.executable, "-m", module, *arguments],
            env=self.environ() | environ,
            log=self.home / f"{name}.log",
        )
        self.processes[name] = process
        return process
