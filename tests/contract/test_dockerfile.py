"""The container images, as their one Dockerfile says."""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from test_imports import ALLOWED

from darkroom.cluster.images import NAMES, floats

ROOT = Path(__file__).resolve().parents[2]
#: Target -> the packages whose programs it runs.
PROGRAMS = {
    "api": {"api"},
    "bridge": {"bridge", "darkroom"},
    "serve-cpu": {"serve_app"},
    "serve-gpu": {"serve_app"},
    "ui": {"gradio_ui"},
}
TARGETS = tuple(PROGRAMS)


@dataclass
class Stage:
    """One stage: what it is made from, and its instructions."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all_of(self, word):
        """The arguments of each instruction of a kind."""
        return [arguments for name, arguments in self.steps if name == word]


def stages():
    """Name -> stage."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    instructions = "\n".join(lines).replace("\\\n", " ").splitlines()
    found: dict[str, Stage] = {}
    current = Stage("")
    for line in instructions:
        word, _, arguments = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = arguments.partition(" AS ")
            current = found[name] = Stage(base)
        else:
            current.steps.append((word, arguments.strip()))
    return found


STAGES = stages()


def line_of(target):
    """The stages that a target is made of, from its base on."""
    made = []
    while target in STAGES:
        made.insert(0, STAGES[target])
        target = STAGES[target].base
    return made


def copied(target):
    """What of the repository a target has."""
    arguments = [each for stage in line_of(target) for each in stage.all_of("COPY")]
    return {each.split()[0] for each in arguments if not each.startswith("--from")}


def test_there_is_a_target_for_each_image():
    """Those of the manifests, and the API."""
    assert set(TARGETS) <= set(STAGES)
    assert set(NAMES) | {"api"} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_nobody_runs_as_root(target):
    """A number, because Kubernetes cannot look a name up; the one that manifests say."""
    users = [user for stage in line_of(target) for user in stage.all_of("USER")]
    assert users[-1] == "10001:10001"
    assert STAGES[target].steps.index(("USER", users[-1])) > max(
        number for number, (word, _) in enumerate(STAGES[target].steps) if word in ("COPY", "RUN")
    )


@pytest.mark.parametrize("target", TARGETS)
def test_each_says_how_it_is(target):
    """A health check, and a command without a shell, which would swallow SIGTERM."""
    [_] = STAGES[target].all_of("HEALTHCHECK")
    [command] = STAGES[target].all_of("CMD")
    assert command.startswith("[")


@pytest.mark.parametrize("target", TARGETS)
def test_dependencies_come_before_code(target):
    """A change of code installs nothing anew: no target runs pip, and what does has no code."""
    assert not any("pip install" in run for run in STAGES[target].all_of("RUN"))
    sources = {
        each.split()[0].removeprefix("--from=")
        for each in STAGES[target].all_of("COPY")
        if each.startswith("--from")
    }
    assert sources == {f"{target}-dependencies"}
    files = " ".join(STAGES["dependencies"].all_of("COPY")).split()
    assert files == ["pyproject.toml", "constraints.txt", "docker/requirements.py", "./"]


def test_everything_that_downloads_takes_its_configuration_as_secrets():
    """CA and package index stay with the builder."""
    runs = [run for stage in STAGES.values() for run in stage.all_of("RUN")]
    installing = [run for run in runs if "pip install" in run]
    assert len(installing) == len(TARGETS)
    for run in installing:
        assert "--mount=type=secret,id=pip,target=/etc/pip.conf" in run
        assert "--mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt" in run


def test_what_is_pinned_stays_pinned():
    """The base by its full version; packages by constraints or by a lock with hashes."""
    text = (ROOT / "Dockerfile").read_text()
    base = re.search(r"^ARG BASE=(\S+)$", text, flags=re.MULTILINE)[1]
    assert not floats(base)
    assert re.search(r":3\.11\.\d+-", base)
    for stage in STAGES.values():
        for run in stage.all_of("RUN"):
            if "pip install" in run:
                assert "-c constraints.txt" in run or "--require-hashes" in run


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_the_packages_that_its_programs_import_and_no_others(target):
    """By the table of who may import whom: a change of any other makes no new image."""
    needed = PROGRAMS[target].union(*(ALLOWED[package] for package in PROGRAMS[target]))
    assert copied(target) & set(ALLOWED) == needed


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_is_in_it(target):
    """A label that names the document, and the document."""
    labels = " ".join(label for stage in line_of(target) for label in stage.all_of("LABEL"))
    assert 'darkroom.sbom="/srv/sbom.json"' in labels
    assert any("/srv/sbom.json" in each for each in STAGES[target].all_of("COPY"))


def test_the_build_gets_what_it_copies_and_nothing_else():
    """The context is a list of what is let in."""
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    wanted = {
        source.partition("/")[0]
        for stage in STAGES.values()
        for each in stage.all_of("COPY")
        if not each.startswith("--from")
        for source in shlex.split(each)[:-1]
    }
    assert wanted == let_in


def test_the_lock_is_of_what_is_asked_for():
    """Each requirement of Serve is in it, each with its hashes, without CUDA left out."""
    locked = (ROOT / "docker/serve-gpu.lock").read_text()
    names = {
        line.split("==")[0].lower().replace("_", "-")
        for line in locked.splitlines()
        if "==" in line
    }
    asked = subprocess.run(
        [sys.executable, "docker/requirements.py", "serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for each in filter(None, asked):
        assert re.split(r"[\[<>=!~ ]", each)[0].lower().replace("_", "-") in names, each
    assert any(name.startswith("nvidia-") for name in names)
    assert locked.count("--hash=sha256:") >= len(names)


def test_hadolint_has_nothing_to_say():
    """Its own rules, and shellcheck's of every RUN."""
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program, "hadolint is missing: pip install 'darkroom[lint]'"
    done = subprocess.run(
        [program, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
