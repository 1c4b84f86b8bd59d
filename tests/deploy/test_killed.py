"""A real `terraform apply` that is killed by SIGKILL: explained, unlocked, taken over, finished."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from terraform import aws_environ, cli_config

from darkroom.deploy.errors import ProgramFailed, StateLocked, StepFailed
from darkroom.deploy.infrastructure import Infrastructure
from darkroom.deploy.journal import Journal
from darkroom.deploy.program import Programs
from darkroom.deploy.runner import run
from darkroom.deploy.state_bucket import StateBucket
from darkroom.deploy.terraform import Backend, Terraform
from darkroom.emulator import REGION

pytestmark = pytest.mark.long
#: Small enough to be applied in seconds: two things that have names, and one that takes its time.
MODULE = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
  backend "s3" {
    use_lockfile = true
  }
}

variable "seconds" {
  type = number
}

variable "disposable" {
  type    = bool
  default = false
}

resource "aws_iam_role" "first" {
  name               = "killed-first"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [] })
}

resource "aws_ecr_repository" "second" {
  name = "killed/second"
}

resource "terraform_data" "slow" {
  depends_on = [aws_iam_role.first, aws_ecr_repository.second]
  provisioner "local-exec" {
    command = "sleep ${var.seconds}"
  }
}

output "role" {
  value = aws_iam_role.first.name
}
"""


class Killer:
    """Hears what Terraform says, and kills it when the slow part begins."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.killed = folder, False

    def __call__(self, line: str) -> None:
        if "terraform_data.slow: Creating..." not in line:
            return
        for child in psutil.Process().children(recursive=True):
            if child.name() == "terraform" and Path(child.cwd()) == self.folder:
                # With its provider, as if the machine had gone.
                os.killpg(os.getpgid(child.pid), signal.SIGKILL)
                self.killed = True
                return


@pytest.fixture
def infrastructure(emulator, tmp_path, terraform_program):
    """The small module as the step that Terraform is."""
    bucket = StateBucket(
        s3=emulator.client("s3"),
        bucket="killed-tfstate",
        region=REGION,
        partition="aws",
        installation="killed",
        delete=True,
    )
    bucket.apply()
    module = tmp_path / "module"
    module.mkdir()
    (module / "main.tf").write_text(MODULE)
    variables = tmp_path / "seconds.tfvars"
    variables.write_text("seconds = 300\n")
    terraform = Terraform(
        programs=Programs(environ=aws_environ(emulator.address) | cli_config()),
        module=module,
        home=tmp_path / "home",
        backend=Backend(bucket=bucket.bucket, key="killed", region=REGION, path_style=True),
        var_files=[variables],
    )
    yield Infrastructure(
        terraform=terraform,
        connect=emulator.client,
        installation="killed",
        outputs=tmp_path / "outputs.json",
        package=lambda: None,
        say=lambda text: None,
        delete_data=True,
    )
    bucket.undo()


def test_a_killed_apply_is_gone_on_with_and_nothing_is_broken_silently(infrastructure, tmp_path):
    """Lock, then names that are taken: each is a person's decision, each one more option."""
    terraform, journal = infrastructure.terraform, Journal(tmp_path / "log")
    killer = Killer(terraform.module)
    doomed = replace(terraform, programs=replace(terraform.programs, heard=killer))
    with pytest.raises(StepFailed):
        run([replace(infrastructure, terraform=doomed)], journal, again="deploy")
    assert killer.killed

    (tmp_path / "seconds.tfvars").write_text("seconds = 0\n")
    with pytest.raises(StateLocked, match="If it was killed") as locked:
        infrastructure.check()
    lock = str(locked.value).rpartition("--unlock ")[2]

    unlocked = replace(infrastructure, unlock=lock)
    assert not unlocked.check().done
    with pytest.raises(ProgramFailed, match="unknown to the state") as unknown:
        unlocked.apply()
    assert "aws_iam_role.first" in str(unknown.value)
    assert "--adopt" in str(unknown.value)

    adopting = replace(infrastructure, adopt=True)
    run([adopting], journal, again="deploy")
    assert '"killed-first"' in (tmp_path / "outputs.json").read_text()
    assert not (terraform.module / "adopted.tf.json").exists()
    infrastructure.undo()
    assert terraform.addresses() == []
