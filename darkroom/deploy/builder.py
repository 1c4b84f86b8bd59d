"""The program that builds our images, and for which platforms it can.

The Dockerfile runs programs of the image it makes: for another architecture than the machine's
these run under QEMU, and only if the kernel was told so.
"""

import platform
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom.deploy.errors import ProgramFailed, ProgramMissing
from darkroom.deploy.program import BUILDAH, DOCKER, Needed, Programs, find
from darkroom.deploy.quota import Finding

#: Where Linux shows what runs the programs of other architectures.
HANDLERS = Path("/proc/sys/fs/binfmt_misc")
#: `e_machine` of an ELF header, as a handler's magic has it -> as containers call it.
_MACHINES = {"b700": "arm64", "3e00": "amd64"}
_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
#: What makes a kernel run other architectures' programs.
QEMU_BY_DOCKER = "docker run --privileged --rm tonistiigi/binfmt --install"
QEMU_BY_DEBIAN = "apt-get install qemu-user-static binfmt-support"
_PROBE_S = 30


def builder(programs: Programs) -> Needed:
    """Docker, or else buildah; `ProgramMissing` says why neither."""
    path = programs.environ.get("PATH")
    found = [find(needed, path) for needed in (DOCKER, BUILDAH)]
    for each in found:
        if each.path and not each.fault:
            return each.needed
    raise ProgramMissing(
        "neither docker nor buildah can be used: "
        + "; ".join(str(each.fault) for each in found)
        + ". Install one of them, or give images that are pushed already by --images"
    )


@dataclass(frozen=True, kw_only=True)
class Platforms:
    """For which platforms a builder builds."""

    named: frozenset[str]
    #: Whether these are all.
    all: bool = True


def judged_builder(
    programs: Programs, wanted: Collection[str], handlers: Path = HANDLERS
) -> Iterator[Finding]:
    """Whether images of all `wanted` platforms can be built here."""
    if not wanted:
        return
    try:
        needed = builder(programs)
    except ProgramMissing:
        return  # said with the other programs
    try:
        known = _of_docker(programs) if needed is DOCKER else _of_linux(handlers)
    except ProgramFailed as error:
        yield Finding(fatal=True, text=f"docker cannot build the images: {error}")
        return
    lacking = sorted(set(wanted) - known.named)
    if not lacking:
        return
    builds = f"{needed.name} builds for {', '.join(sorted(known.named))} only"
    architectures = ",".join(each.partition("/")[2] for each in lacking)
    yield Finding(
        fatal=known.all,
        text=f"images are wanted for {', '.join(lacking)}, and "
        + (builds if known.all else f"whether {needed.name} builds for that is not known")
        + f". {_remedy(needed, architectures)}, or give images that are pushed already by --images",
    )


def _remedy(needed: Needed, architectures: str) -> str:
    install = f"{QEMU_BY_DOCKER} {architectures}"
    if needed is DOCKER:
        return (
            f"QEMU does it on the machine of docker's daemon: {install}. Or name another builder "
            "by BUILDX_BUILDER"
        )
    return f"QEMU does it: {QEMU_BY_DEBIAN} (Debian, Ubuntu; elsewhere {install})"


def _of_docker(programs: Programs) -> Platforms:
    """What the builder says that `docker build` takes.

    It may be in a virtual machine, as Docker Desktop's, or far away: this kernel tells nothing.
    """
    try:
        name = programs.environ.get("BUILDX_BUILDER") or _said(programs, "context", "show").strip()
        said = _said(programs, "buildx", "inspect", name)
    except ProgramFailed as error:
        raise ProgramFailed(
            f"{error}\nIts daemon has to run, and it needs buildx: docker-buildx-plugin of "
            "Docker's packages, docker-buildx of Debian's and Ubuntu's"
        ) from error
    lines = [line.partition(":") for line in said.splitlines()]
    if errors := [rest.strip() for key, _, rest in lines if key == "Error"]:
        raise ProgramFailed(f"its builder {name} says {errors[0]}")
    named = frozenset(
        # An asterisk marks what a person has set by hand; linux/amd64/v2 is an amd64.
        "/".join(each.strip(" *").split("/")[:2])
        for key, _, rest in lines
        if key == "Platforms"
        for each in rest.split(",")
    )
    # A builder that has not been started yet names none.
    return Platforms(named=named, all=bool(named))


def _said(programs: Programs, *arguments: str) -> str:
    return programs.run(DOCKER, arguments, limit_s=_PROBE_S).output


def _of_linux(handlers: Path) -> Platforms:
    """This machine's own, and those of its handlers, if it shows them."""
    own = platform.machine()
    found = {_NAMES.get(own, own)}
    shown = (handlers / "status").exists()
    if shown:
        found |= {machine for path in handlers.iterdir() if (machine := _handled(path))}
    return Platforms(named=frozenset(f"linux/{each}" for each in found), all=shown)


def _handled(path: Path) -> str | None:
    """The architecture whose programs a handler runs, inside a container as well."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return None  # `register` can only be written
    told = dict(line.partition(" ")[::2] for line in lines)
    # F: the kernel holds it open. Without, it is looked for in the image, which has none.
    if "enabled" not in told or "F" not in told.get("flags:", ""):
        return None
    return _MACHINES.get(told.get("magic", "")[36:40])
