"""Every command of docs/deploy.md is one that there is: parsed as it would be run."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import botocore.session
import pytest
import typer.main
from botocore import xform_name

from darkroom.cli import app
from darkroom.deploy.access import TARGETS
from darkroom.deploy.builder import QEMU_BY_DEBIAN, QEMU_BY_DOCKER
from darkroom.deploy.operators import OPERATORS, chart_of
from darkroom.deploy.program import ALL
from darkroom.names import NAMESPACE

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/deploy.md").read_text("utf-8")
#: Options that the AWS command line has for every call.
AWS_OPTIONS = {"region", "query", "output", "profile"}


def commands():
    """The lines of all blocks of code."""
    blocks = re.findall(r"^ *```\n(.*?)^ *```", GUIDE, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def inline(program):
    """What stands between backquotes in a sentence and is a command of this program."""
    text = re.sub(r"^ *```\n.*?^ *```", "", GUIDE, flags=re.MULTILINE | re.DOTALL)
    found = [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", text)]
    return [each for each in found if each.startswith(f"{program} ")]


def understood(line):
    """The command, and its words as it would read them; a word that it has not is an error."""
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    while True:
        name = words[0] if words and not words[0].startswith("-") else None
        inner = getattr(command, "commands", {}).get(name)
        if inner is None:
            break
        command, words = inner, words[1:]
    return command, words


@pytest.mark.parametrize("line", [each for each in commands() if each.startswith("darkroom ")])
def test_each_command_of_ours_is_understood(line):
    """Names, options and values, by the command line itself; nothing is run."""
    command, words = understood(line)
    found = command.make_context(command.name, words).params
    assert found
    # Of an argument that names one of a few the command itself says so, when it runs.
    assert command.name != "open" or found["target"] in TARGETS


@pytest.mark.parametrize("line", inline("darkroom"))
def test_each_command_in_a_sentence_is_one_of_ours(line):
    """Commands and options; in a sentence an option may stand without its value."""
    command, words = understood(line)
    assert not getattr(command, "commands", None), f"{line}: no such command"
    options = {option for each in command.params for option in each.opts}
    assert {word for word in words if word.startswith("-")} <= options
    if command.name == "open" and words:
        assert set(words[0].split("|")) <= set(TARGETS)


@pytest.mark.parametrize(
    "line", [each for each in [*commands(), *inline("make")] if each.startswith("make ")]
)
def test_each_target_of_make_is_there(line):
    """With the variables left out."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert {word for word in line.split()[1:] if "=" not in word} <= set(phony.split())


@pytest.mark.parametrize("line", inline("kubectl"))
def test_each_namespace_of_kubectl_is_one_that_is_used(line):
    """Ours, or that of an operator."""
    known = {NAMESPACE, *(chart_of(each).namespace for each in OPERATORS)}
    words = line.split()
    assert {after for word, after in pairwise(words) if word in ("-n", "--namespace")} <= known


@pytest.mark.parametrize("line", [each for each in commands() if each.startswith("aws ")])
def test_each_command_of_aws_is_one_of_its_api(line):
    """Service, operation and parameters, by AWS's own description."""
    _, service, operation, *options = shlex.split(line)
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(each, "-"): each for each in model.operation_names}
    members = model.operation_model(names[operation]).input_shape.members
    known = {xform_name(each, "-") for each in members}
    given = {each.removeprefix("--") for each in options if each.startswith("--")}
    assert given - AWS_OPTIONS <= known


def test_no_command_is_of_a_kind_that_nobody_looks_at():
    """But for those that everybody has."""
    kinds = {line.split()[0] for line in commands()}
    assert kinds <= {"darkroom", "aws", "git", "make"}


@pytest.mark.parametrize("needed", [each for each in ALL if each.name != "buildah"])
def test_versions_of_programs_are_those_that_are_looked_for(needed):
    """One place says which; the guide says the same."""
    if needed.name == "docker":
        assert "`docker` or `buildah`" in GUIDE
    else:
        assert f"`{needed.name}` {'.'.join(map(str, needed.at_least))}" in GUIDE


def test_what_installs_qemu_is_what_the_first_step_says():
    """For docker and for buildah."""
    assert f"`{QEMU_BY_DOCKER} arm64`" in GUIDE
    assert f"`{QEMU_BY_DEBIAN}`" in GUIDE


def test_every_option_of_deploy_is_in_the_guide():
    """And none that is gone."""
    deploy = typer.main.get_command(app).commands["deploy"]
    options = {option for each in deploy.params for option in each.opts} - {"--json", "--help"}
    assert {each for each in options if each not in GUIDE} == set()
