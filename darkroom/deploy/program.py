"""Other people's programs: found, asked their version, run to their end."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.deploy.errors import ProgramFailed, ProgramMissing

#: How much of what a program printed is shown when it failed; the log has all of it.
_SHOWN_CHARS = 3000
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Needed:
    """A program: since which version it does what we ask, and where people get it."""

    name: str
    at_least: tuple[int, int]
    asked: tuple[str, ...]
    where: str
    why: str


TERRAFORM = Needed(
    name="terraform",
    at_least=(1, 11),
    asked=("version",),
    where="https://developer.hashicorp.com/terraform/install",
    why="makes everything in AWS",
)
KUBECTL = Needed(
    name="kubectl",
    at_least=(1, 32),
    asked=("version", "--client"),
    where="https://kubernetes.io/docs/tasks/tools/",
    why="applies the manifests, and forwards ports",
)
HELM = Needed(
    name="helm",
    at_least=(3, 14),
    asked=("version", "--short"),
    where="https://helm.sh/docs/intro/install/",
    why="installs KubeRay, KEDA and Karpenter",
)
DOCKER = Needed(
    name="docker",
    at_least=(23, 0),
    asked=("--version",),
    where="https://docs.docker.com/engine/install/",
    why="builds and pushes the images; buildah does as well",
)
BUILDAH = Needed(
    name="buildah",
    at_least=(1, 28),
    asked=("--version",),
    where="https://buildah.io",
    why="builds and pushes the images; docker does as well",
)
ALL = (TERRAFORM, KUBECTL, HELM, DOCKER, BUILDAH)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A program of this machine, or why it is none that we can use."""

    needed: Needed
    path: str | None
    version: tuple[int, int] | None = None
    fault: str | None = None

    def usable(self) -> str:
        """Its path; `ProgramMissing` says what to install."""
        if self.path is None or self.fault:
            needed = self.needed
            raise ProgramMissing(
                f"{self.fault}: {needed.name} {needed.why}. "
                f"Install {'.'.join(map(str, needed.at_least))} or newer from {needed.where}"
            )
        return self.path


def find(needed: Needed, path: str | None = None) -> Found:
    """Look for a program in `path` (by default the process's) and ask its version."""
    place = shutil.which(needed.name, path=path)
    if place is None:
        return Found(needed=needed, path=None, fault=f"{needed.name} is not installed")
    try:
        answer = subprocess.run(  # noqa: S603  # a program found by name, asked its version
            [place, *needed.asked], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Found(needed=needed, path=place, fault=f"{place} does not answer ({error})")
    told = _VERSION.search(answer.stdout) or _VERSION.search(answer.stderr)
    if told is None:
        return Found(needed=needed, path=place, fault=f"{place} does not tell its version")
    version = (int(told[1]), int(told[2]))
    fault = f"{place} is {version[0]}.{version[1]}" if version < needed.at_least else None
    return Found(needed=needed, path=place, version=version, fault=fault)


def _quiet(_: str) -> None:
    """Nobody listens to what programs print."""


@dataclass(frozen=True, kw_only=True)
class Programs:
    """How programs are run: with which variables, and who hears what they print."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    heard: Callable[[str], None] = _quiet

    def run(
        self,
        needed: Needed,
        arguments: Sequence[str],
        *,
        within: Path | None = None,
        given: str | None = None,
        limit_s: float = 600,
        grace_s: float = 60,
        environ: Mapping[str, str] | None = None,
        expected: tuple[int, ...] = (0,),
        private: bool = False,
    ) -> "Answer":
        """Run it to its end; `ProgramFailed` with what it said, unless its status is `expected`.

        `given` goes to its standard input: secrets never stand in a command line. After `limit_s`,
        and at Ctrl-C, it is told SIGINT once, and gets `grace_s` to put its things in order.
        What a `private` one prints may hold secrets, and nobody hears it.
        """
        command = [find(needed, self.environ.get("PATH")).usable(), *arguments]
        self.heard(f"$ {needed.name} {' '.join(arguments)}")
        with _interruptible():
            process = subprocess.Popen(  # noqa: S603  # one of the programs above
                command,
                cwd=within,
                env={**self.environ, **(environ or {})},
                stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                # A group of its own: Ctrl-C in the terminal is for us, who pass it on once. A
                # second SIGINT would make Terraform forget what it has just made.
                start_new_session=True,
            )
        answer = _Heard(process, _quiet if private else self.heard).to_the_end(
            given=given, limit_s=limit_s, grace_s=grace_s, name=needed.name
        )
        if answer.status not in expected:
            said = (answer.errors.strip() or answer.output.strip())[-_SHOWN_CHARS:]
            raise ProgramFailed(
                f"{needed.name} {arguments[0] if arguments else ''} ended with {answer.status}:\n"
                f"{said}"
            )
        return answer


@contextmanager
def _interruptible() -> Iterator[None]:
    """A child that is begun here heeds SIGINT, also if we are in a script's background.

    There SIGINT is ignored, and a child would inherit that: it could not be told to stop.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program said, and its exit status."""

    status: int
    output: str
    errors: str


class _Heard:
    """A process whose lines are heard while they come."""

    def __init__(self, process: subprocess.Popen[str], heard: Callable[[str], None]) -> None:
        self._process = process
        self._heard = heard
        self._lines: dict[str, list[str]] = {"output": [], "errors": []}

    def to_the_end(self, *, given: str | None, limit_s: float, grace_s: float, name: str) -> Answer:
        readers = [
            threading.Thread(target=self._read, args=(kind,), daemon=True) for kind in self._lines
        ]
        for reader in readers:
            reader.start()
        try:
            if given is not None and self._process.stdin is not None:
                self._process.stdin.write(given)
                self._process.stdin.close()
            status = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._interrupt(grace_s, name)
            raise ProgramFailed(f"{name} was stopped: it took longer than {limit_s:g} s") from None
        except KeyboardInterrupt:
            self._interrupt(grace_s, name)
            raise
        except BrokenPipeError:
            # It ended without reading all; its status and its words tell why.
            status = self._process.wait(grace_s)
        for reader in readers:
            reader.join()
        return Answer(
            status=status,
            output="".join(self._lines["output"]),
            errors="".join(self._lines["errors"]),
        )

    def _read(self, kind: str) -> None:
        stream = self._process.stdout if kind == "output" else self._process.stderr
        assert stream is not None  # both are pipes
        with stream:
            for line in stream:
                self._lines[kind].append(line)
                self._heard(line.rstrip("\n"))

    def _interrupt(self, grace_s: float, name: str) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(
                f"{name} (process {self._process.pid}) was told to stop and still runs after "
                f"{grace_s:g} s. It is left alone: to kill it could lose what it has just made"
            ) from None
