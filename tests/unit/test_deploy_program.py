"""Programs of others, run for real: small shell scripts that are called like them."""

import os

import pytest

from darkroom.deploy.errors import ProgramFailed, ProgramMissing
from darkroom.deploy.program import HELM, KUBECTL, Programs, find


@pytest.fixture
def folder(tmp_path):
    """A folder of programs, and a function that puts one there."""

    def put(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put


def programs(tmp_path, heard=None):
    path = f"{tmp_path}:{os.environ['PATH']}"
    return Programs(environ={"PATH": path}, heard=heard or (lambda line: None))


def test_a_missing_program_is_named_with_where_to_get_it(tmp_path):
    """Before anything is changed."""
    with pytest.raises(ProgramMissing, match=r"helm is not installed.*3\.14.*https://helm\.sh"):
        find(HELM, str(tmp_path)).usable()


def test_a_program_that_is_too_old_is_refused_with_its_version(tmp_path, folder):
    """kubectl may be one minor version away from its server."""
    folder("kubectl", "echo 'Client Version: v1.29.3'")
    with pytest.raises(ProgramMissing, match=r"is 1\.29: kubectl .*Install 1\.32 or newer"):
        find(KUBECTL, str(tmp_path)).usable()


@pytest.mark.parametrize(
    "said", ["v3.16.2+g13654a5", "version.BuildInfo{Version:v3.16.2}", "Helm 3.16.2"]
)
def test_a_version_is_found_in_whatever_the_program_says(tmp_path, folder, said):
    """They all say it otherwise."""
    folder("helm", f"echo '{said}'")
    assert find(HELM, str(tmp_path)).version == (3, 16)


def test_a_program_that_does_not_tell_its_version_is_refused(tmp_path, folder):
    """It may be anything."""
    folder("helm", "echo hello")
    with pytest.raises(ProgramMissing, match="does not tell its version"):
        find(HELM, str(tmp_path)).usable()


def test_what_a_program_prints_is_heard_line_by_line(tmp_path, folder):
    """The log has all of it."""
    folder("helm", 'case "$1" in version) echo v3.16;; *) echo one; echo two >&2;; esac')
    heard = []
    answer = programs(tmp_path, heard.append).run(HELM, ["list"])
    assert (answer.output, answer.errors) == ("one\n", "two\n")
    assert sorted(heard) == ["$ helm list", "one", "two"]


def test_a_failure_is_what_the_program_said(tmp_path, folder):
    """Its words, not ours."""
    folder("helm", 'case "$1" in version) echo v3.16;; *) echo "no such chart" >&2; exit 3;; esac')
    with pytest.raises(ProgramFailed, match=r"helm install ended with 3:\nno such chart"):
        programs(tmp_path).run(HELM, ["install"])


def test_what_is_given_goes_to_standard_input_and_into_no_command_line(tmp_path, folder):
    """For tokens."""
    folder("helm", 'case "$1" in version) echo v3.16;; *) cat;; esac')
    heard = []
    answer = programs(tmp_path, heard.append).run(HELM, ["login", "--stdin"], given="secret")
    assert answer.output == "secret"
    assert heard[0] == "$ helm login --stdin"


def test_a_program_that_takes_too_long_is_told_to_stop_and_may_clean_up(tmp_path, folder):
    """SIGINT, once: Terraform then writes its state and lets go of the lock."""
    mark = tmp_path / "cleaned"
    folder(
        "helm",
        f'case "$1" in version) echo v3.16; exit;; esac\n'
        f"trap 'touch {mark}; exit 1' INT\nwhile :; do sleep 0.05; done",
    )
    with pytest.raises(ProgramFailed, match="took longer than"):
        programs(tmp_path).run(HELM, ["upgrade"], limit_s=2)
    assert mark.exists()


def test_what_may_hold_secrets_is_heard_by_nobody(tmp_path, folder):
    """A log keeps what is heard."""
    folder("helm", 'case "$1" in version) echo v3.16;; *) echo c2VjcmV0;; esac')
    heard = []
    told = programs(tmp_path, heard.append).run(HELM, ["get"], private=True)
    assert told.output.strip() == "c2VjcmV0"
    assert not any("c2VjcmV0" in line for line in heard)


def test_a_program_that_does_not_stop_is_left_alone_and_named(tmp_path, folder):
    """To kill Terraform could lose what it has just made."""
    folder(
        "helm",
        'case "$1" in version) echo v3.16; exit;; esac\ntrap "" INT\nsleep 6',
    )
    with pytest.raises(ProgramFailed, match=r"process \d+\) was told to stop and still runs"):
        programs(tmp_path).run(HELM, ["upgrade"], limit_s=2, grace_s=0.3)
