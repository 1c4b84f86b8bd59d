"""Every command of docs/deploy.md, run to where it would ask or change something elsewhere."""

import json
import os
import re
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import boto3
import pytest
import typer.main
from moto import mock_aws
from typer.testing import CliRunner

from darkroom import cli
from darkroom.cli import app
from darkroom.cluster.images import Images
from darkroom.deploy import commands as deploying
from darkroom.deploy import request, snapshot_command
from darkroom.deploy.access import TARGETS
from darkroom.deploy.builder import QEMU_BY_DEBIAN, QEMU_BY_DOCKER
from darkroom.deploy.cluster import Cluster
from darkroom.deploy.operators import OPERATORS, chart_of
from darkroom.deploy.program import ALL
from darkroom.deploy.wanted import Vpc
from darkroom.names import NAMESPACE
from records.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/deploy.md").read_text("utf-8")
#: Commands that end by themselves; all others end where they would change something.
ENDING = {"cost", "list", "permissions"}


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


class Reached(Exception):
    """A command has come to where it would change something, or ask the cluster."""


def nobody(_):
    """A rehearsal needs no account."""
    raise Unavailable("no credentials")


@pytest.fixture(scope="module")
def account():
    """One in memory, with a cluster and nothing else."""
    with mock_aws():
        boto3.client("eks", region_name="us-west-2").create_cluster(
            name="darkroom-dev",
            roleArn="arn:aws:iam::123456789012:role/demo-cluster",
            resourcesVpcConfig={},
        )
        yield


@pytest.fixture
def dry(account, monkeypatch, tmp_path):
    """A folder of its own, an account in memory, and an end before anything is changed."""

    def reached(*_, **__):
        raise Reached

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "build/deploy/darkroom-dev-us-west-2/images.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(dict(Images.stand_ins().by_name)))
    for place, name in (
        (deploying, "run"),  # the steps
        (deploying, "emulated"),  # the AWS of a rehearsal
        (deploying, "forwarded"),  # kubectl
        (snapshot_command, "contents_of"),  # our images in ECR
        (Cluster, "kubectl"),
        (cli, "connected"),  # the API
    ):
        monkeypatch.setattr(place, name, reached)
    monkeypatch.setattr(deploying, "own_network", lambda: "192.0.2.1/32")
    found = Vpc(id="vpc-0", subnet_ids=["subnet-1", "subnet-2"], route_table_ids=["rtb-1"])
    monkeypatch.setattr(request, "read_vpc", lambda *_, **__: found)


@pytest.mark.parametrize("line", [each for each in commands() if each.startswith("darkroom ")])
def test_each_command_of_ours_goes_to_where_it_would_change_something(dry, monkeypatch, line):
    """By the command line itself, with all that it looks at and refuses on its way."""
    command, words = understood(line)
    if "--dry-run" in words:
        monkeypatch.setattr(deploying, "identify", nobody)
    result = CliRunner().invoke(app, shlex.split(line)[1:], input="darkroom-dev\n")
    if command.name in ENDING:
        assert result.exit_code == 0, result.output
    else:
        assert isinstance(result.exception, Reached), (result.output, result.exception)


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


@pytest.mark.parametrize("line", inline("kubectl"))
def test_each_command_of_kubectl_goes_to_where_it_would_ask_the_cluster(line):
    """By kubectl itself; what it does not understand it says before."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl: it is not on this machine")
    nowhere = ["--kubeconfig=/dev/null", "--server=http://127.0.0.1:1", "--request-timeout=5s"]
    done = subprocess.run(
        [*shlex.split(line), *nowhere], capture_output=True, text=True, timeout=60, check=False
    )
    assert "127.0.0.1:1 was refused" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "line", [each for each in [*commands(), *inline("aws")] if each.startswith("aws ")]
)
def test_each_command_of_aws_is_understood_by_it(line):
    """Service, operation and options, by the AWS command line itself; it asks nobody."""
    if shutil.which("aws") is None:
        pytest.skip("aws: it is not on this machine")
    # With our own folder among its modules it would be another program.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # Its commands for files have no skeleton: they end at the folder that is not there.
    of_files = line.startswith("aws s3 ")
    more = ["--dryrun"] if of_files else ["--generate-cli-skeleton", "input"]
    done = subprocess.run(
        [*shlex.split(line), *more],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 or (of_files and "does not exist" in done.stderr), done.stderr


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
