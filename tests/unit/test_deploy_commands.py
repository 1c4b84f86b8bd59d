"""The command line of deploying and removing, as far as it goes without Terraform."""

import json
import re
from contextlib import nullcontext

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from darkroom.cli import app
from darkroom.deploy import commands
from darkroom.deploy.changes import Changes
from darkroom.deploy.dry_run import Rehearsal
from darkroom.deploy.errors import Unfit
from darkroom.deploy.preflight import Preflight
from records.errors import Unavailable


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """A folder of its own, and no credentials."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def test_a_dry_run_plans_with_the_vpc_that_was_named(monkeypatch):
    """Without credentials it cannot be read; that is said, and no VPC is planned."""
    planned = []
    monkeypatch.setattr(commands, "_rehearse", lambda deployment, **_: planned.append(deployment))
    result = CliRunner().invoke(app, ["deploy", "--dry-run", "--existing-vpc", "vpc-12345678"])
    assert result.exit_code == 0, result.output
    assert planned[0].wanted.variables()["vpc"]["id"] == "vpc-12345678"
    assert "vpc-12345678 is not read" in result.stderr


def test_the_question_before_a_removal_is_not_in_the_json():
    """Whoever reads stdout is a program."""
    with mock_aws():
        result = CliRunner().invoke(app, ["destroy", "--json"], input="another\n")
    assert isinstance(result.exception, Unfit)
    assert "Its name, to go on" in result.stderr
    assert "Its name" not in result.stdout


@pytest.mark.parametrize("there", [True, False])
def test_a_dry_run_with_an_account_plans_against_the_state_if_there_is_one(monkeypatch, there):
    """Before an upgrade it shows that; of what is not there an emulated AWS tells the price."""
    planned = []
    nothing = Rehearsal(steps=[], changes=Changes.of_plan({}), lines=[], emulated=not there)

    def compared(deployment, home):
        planned.append(("compared", deployment.wanted.variables()["admin_cidrs"]))
        return nothing

    def rehearsed(deployment, url, home):
        planned.append(("rehearsed", url))
        return nothing

    monkeypatch.setattr(commands, "compare", compared)
    monkeypatch.setattr(commands, "rehearse", rehearsed)
    monkeypatch.setattr(commands, "emulated", lambda: nullcontext("emulated"))
    # moto has no quotas.
    monkeypatch.setattr(Preflight, "apply", lambda _: None)
    monkeypatch.setattr(commands, "own_network", lambda: "203.0.113.7/32")
    with mock_aws():
        if there:
            boto3.client("s3", region_name="us-east-1").create_bucket(
                Bucket="darkroom-dev-123456789012-us-west-2-tfstate"
            )
        result = CliRunner().invoke(app, ["deploy", "--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["emulated"] is not there
    against = "darkroom-dev as it is" if there else "an emulated AWS"
    assert f"planned against {against}; nothing is changed" in result.stderr
    assert planned == [("compared", ["203.0.113.7/32"]) if there else ("rehearsed", "emulated")]


@pytest.mark.parametrize(
    ("variables", "region", "said"),
    [
        ({"AWS_PROFILE": "nope"}, "us-west-2", r"profile \(nope\) could not be found"),
        ({"AWS_ACCESS_KEY_ID": "a"}, "us-west-2", "missing: AWS_SECRET_ACCESS_KEY"),
        ({}, "us west", "'us west' doesn't match a supported format"),
    ],
    ids=["a profile that is not there", "half a set of credentials", "no region"],
)
@pytest.mark.parametrize(
    "command",
    [
        ["deploy"],
        ["deploy", "--dry-run"],
        ["destroy", "--yes"],
        ["open", "ui"],
        ["snapshot", "list"],
    ],
    ids=" ".join,
)
def test_a_mistake_in_awss_settings_is_a_sentence(monkeypatch, command, variables, region, said):
    """The command line shows the traceback of whatever is not an error of ours."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, [*command, "--region", region])
    assert isinstance(result.exception, Unavailable), result.exception
    assert re.search(f"^AWS's settings on this machine: .*{said}", str(result.exception))
