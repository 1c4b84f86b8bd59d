"""What this machine has, and what of a stack answers."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import httpx

from darkroom.deploy.builder import builder, judged_builder
from darkroom.deploy.errors import ProgramMissing
from darkroom.deploy.program import ALL, Needed, Programs, find
from darkroom.ports import Ports, is_free

#: The libraries whose versions decide what works.
_LIBRARIES = ("ray", "torch", "diffusers", "transformers", "gradio", "boto3", "ministack")
#: Programs that only some commands need; those of `darkroom deploy` are found by their versions.
_PROGRAMS = ("chromium",)
#: Of system nodes, and of GPU nodes.
_PLATFORMS = ("linux/arm64", "linux/amd64")
_DISK_NEEDED_GIB = 2


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at. Not `ok` means that something here will not work."""

    name: str
    ok: bool
    found: str


def examine(state: Mapping[str, object]) -> list[Check]:
    """Look at versions, disk, ports, and at the stack that `state` describes."""
    checks = [_python(), _disk(), *(_library(name) for name in _LIBRARIES)]
    checks += [_program(name) for name in _PROGRAMS]
    checks += [_for_deploying(needed) for needed in ALL]
    checks.append(_building())
    if not state:
        usual = Ports()
        checks += [_port(name, port) for name, port in vars(usual).items()]
    for name in ("api", "ui", "serve", "dashboard", "aws"):
        if name in state:
            checks.append(_reachable(name, str(state[name])))
    return checks


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(name="python", ok=sys.version_info[:2] == (3, 11), found=version)


def _disk() -> Check:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    return Check(name="disk", ok=free_gib >= _DISK_NEEDED_GIB, found=f"{free_gib:.1f} GiB free")


def _library(name: str) -> Check:
    try:
        return Check(name=name, ok=True, found=metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name=name, ok=False, found="not installed; run make")


def _program(name: str) -> Check:
    """A program that is optional: its absence is worth knowing, not wrong."""
    path = shutil.which(name)
    if path is None:
        return Check(name=name, ok=True, found="not installed (optional)")
    try:
        answer = subprocess.run(  # noqa: S603  # a program found by name, asked its version
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Check(name=name, ok=True, found=f"{path} does not answer")
    lines = (answer.stdout or answer.stderr).strip().splitlines()
    return Check(name=name, ok=True, found=lines[0] if lines else path)


def _for_deploying(needed: Needed) -> Check:
    """A program that only `darkroom deploy` needs: what is missing, why, and where to get it."""
    found = find(needed)
    if found.fault is None:
        version = ".".join(map(str, found.version or ()))
        return Check(name=needed.name, ok=True, found=f"{version}, {found.path}")
    least = ".".join(map(str, needed.at_least))
    return Check(
        name=needed.name,
        ok=True,
        found=f"{found.fault}; for `darkroom deploy`: it {needed.why}. {least} or newer from "
        f"{needed.where}",
    )


def _building() -> Check:
    """For which platforms `darkroom deploy` builds: its nodes are of both, this machine is not."""
    programs = Programs()
    try:
        name = builder(programs).name
    except ProgramMissing as error:
        return Check(name="images", ok=True, found=str(error))
    found = [finding.text for finding in judged_builder(programs, _PLATFORMS)]
    able = f"{name} builds for {' and '.join(_PLATFORMS)}"
    return Check(name="images", ok=True, found=" ".join(found) or able)


def _port(name: str, port: int) -> Check:
    """A usual port: `darkroom up` takes another one where it is taken."""
    return Check(name=f"port {port} ({name})", ok=True, found="free" if is_free(port) else "taken")


def _reachable(name: str, url: str) -> Check:
    try:
        status = httpx.get(url, timeout=5, trust_env=False).status_code
    except httpx.HTTPError as error:
        return Check(name=name, ok=False, found=f"{url} does not answer: {type(error).__name__}")
    return Check(name=name, ok=True, found=f"{url} answers ({status})")
