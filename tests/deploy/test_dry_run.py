"""`darkroom deploy --dry-run`: what it would do and cost, by the real Terraform."""

import re
from dataclasses import replace

import pytest
from terraform import Terraform, aws_environ, cli_config

from darkroom.cost import idle
from darkroom.cost_page import inventory
from darkroom.deploy.account import identify
from darkroom.deploy.dry_run import compare, rehearse
from darkroom.deploy.journal import Journal
from darkroom.deploy.operators import Operator
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.runner import run
from darkroom.deploy.wanted import ROOT, Wanted
from darkroom.emulator import REGION
from darkroom.prices import Prices, total
from jobs.catalogue import Catalogue

#: Applied in a second: without a provider that would be a process of its own.
MODULE = """
terraform {
  backend "s3" {
    use_lockfile = true
  }
}

variable "disposable" {
  default = false
}

resource "terraform_data" "network" {
  triggers_replace = "10.0.0.0/16"
}

resource "terraform_data" "role" {
  input = "reads"
}

output "role" {
  value = terraform_data.role.output
}
"""


@pytest.fixture(scope="module")
def rehearsal(deployment, emulator, module, tmp_path_factory):
    """Another installation beside that of these tests, as a person asks for one."""
    folder = tmp_path_factory.mktemp("rehearsed")
    asked = replace(
        deployment,
        wanted=Wanted(name="rehearsed", region=REGION, work=folder / "asked"),
        module=Terraform.copied(folder / "module", {}).folder,
        environ=cli_config(),
        delete_data=True,
    )
    home = folder / "home"
    home.mkdir()
    yield rehearse(asked, emulator.address, home)
    # The emulator of these tests goes on, and nothing else in it is to be found.
    asked.state_bucket.undo()


def test_a_dry_run_shows_all_steps_in_order(rehearsal):
    """Those of a deployment, from looking to one job."""
    names = [step.name for step in rehearsal.steps]
    operators = [step for step in rehearsal.steps if isinstance(step, Operator)]
    assert [type(step).__name__ for step in rehearsal.steps] == [
        "Preflight",
        "StateBucket",
        "Infrastructure",
        "Models",
        "PushedImages",
        "KubeAccess",
        "NodeSnapshot",
        "RenderedManifests",
        "CustomResources",
        # With the namespace in which KEDA's chart makes something.
        "KubernetesSecrets",
        *["Operator"] * len(operators),
        "AppliedManifests",
        "SmokeTest",
    ]
    # All else may need a node that only it can order.
    assert operators[0].operator == "karpenter"
    assert {"keda", "kuberay"} < {step.operator for step in operators}
    shown = rehearsal.shown()
    for number, name in enumerate(names, start=1):
        assert shown[number - 1].startswith(f"{number:3}. {name} (")


def test_a_dry_run_costs_what_the_page_says(rehearsal):
    """The sum is that of its lines; what the account decides is marked."""
    assert total(rehearsal.lines) == pytest.approx(
        total(idle(inventory("dev"), Prices.listed(), head_awake=True))
    )
    shown = rehearsal.shown()
    priced = [line for line in shown if re.match(r" +[\d.]+  ", line)]
    *each, together = [float(line.split()[0]) for line in priced]
    assert together == pytest.approx(sum(each), abs=0.005 * len(rehearsal.lines))
    marked = {line.split(maxsplit=1)[1].removesuffix(" *") for line in priced if line[-1] == "*"}
    assert {"data through NAT", "logs", "weights in S3"} <= marked
    assert not {"EKS control plane", "NAT gateway", "KMS keys"} & marked
    assert shown[-1].startswith("* depends on the account's use")


def test_a_dry_run_makes_nothing(rehearsal, emulator):
    """But the bucket that a plan needs for its state, in an AWS that ends with the command."""
    assert rehearsal.changes.added > 100
    assert "rehearsed" not in emulator.client("eks").list_clusters()["clusters"]
    buckets = {each["Name"] for each in emulator.client("s3").list_buckets()["Buckets"]}
    assert {name for name in buckets if name.startswith("rehearsed")} == {
        f"rehearsed-000000000000-{REGION}-tfstate"
    }


@pytest.fixture
def standing(emulator, terraform_program, tmp_path):
    """A small installation that is there, as `darkroom deploy` finds it."""
    module = tmp_path / "module"
    (module / "envs").mkdir(parents=True)
    (module / "envs/dev.tfvars").touch()
    (module / "main.tf").write_text(MODULE)
    journal = Journal(tmp_path / "log")
    made = Deployment(
        wanted=Wanted(name="standing", region=REGION, work=tmp_path / "work"),
        account=identify(emulator.client("sts")),
        connect=emulator.client,
        programs=Programs(environ=aws_environ(emulator.address) | cli_config()),
        journal=journal,
        catalogue=Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text()),
        package=lambda: None,
        delete_data=True,
        emulated=True,
        module=module,
    )
    run([made.state_bucket, made.infrastructure], journal, again="the tests again")
    yield made
    made.state_bucket.undo()


def test_a_dry_run_before_an_upgrade_shows_what_is_lost_by_it(standing, emulator, tmp_path):
    """Against the state that is there, where it leaves nothing: no lock, no new version."""
    s3, bucket = emulator.client("s3"), standing.state_bucket.bucket

    def versions():
        found = s3.list_object_versions(Bucket=bucket)
        return [found.get(kind) for kind in ("Versions", "DeleteMarkers")]

    before = versions()
    upgraded = MODULE.replace("10.0.0.0/16", "10.1.0.0/16").replace("reads", "writes")
    (standing.module / "main.tf").write_text(upgraded)
    home = tmp_path / "home"
    home.mkdir()
    rehearsal = compare(standing, home)
    assert versions() == before
    assert list(rehearsal.changes.lines()) == [
        "Terraform: 0 to add, 1 to change, 1 to replace, 0 to destroy",
        "replaced: terraform_data.network",
    ]
    assert set(rehearsal.changes.lines()) < set(rehearsal.shown())
