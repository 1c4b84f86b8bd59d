"""One stack, applied to the emulator once, used by all of these tests, destroyed by the last."""

import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from terraform import ROOT, Terraform, TerraformFailed, aws_environ

from darkroom.deploy.account import identify
from darkroom.deploy.journal import Journal
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.removal import removal
from darkroom.deploy.runner import run
from darkroom.deploy.wanted import Wanted
from darkroom.emulator import CREDENTIAL, REGION, settings, without_aws
from darkroom.lambda_zip import build
from darkroom.ports import HOST, Ports, is_free
from jobs.catalogue import Catalogue

NAME = "demo"
#: Of a zone that was there before, as on AWS.
DOMAIN = "example.org"
#: Seconds until the emulator answers; it takes one on an idle machine.
_START_S = 60


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A ministack of this session's own."""

    address: str
    log: Path
    #: What it was asked, a JSON object a line.
    calls: Path

    def client(self, service: str, agent: str = "test") -> Any:
        """A boto3 client of one service; `agent` says who asks."""
        return boto3.client(
            service,
            config=Config(user_agent_extra=agent),
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id=CREDENTIAL,
            aws_secret_access_key=CREDENTIAL,
        )


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The applied stack."""

    emulator: Emulator
    terraform: Terraform
    outputs: dict[str, Any]
    #: address -> attributes, of everything that Terraform made.
    resources: dict[str, dict[str, Any]]

    @property
    def url(self) -> str:
        """Where the emulator serves the REST API; on AWS it is the output `api_url`."""
        api = self.resources["aws_api_gateway_rest_api.this"]["id"]
        stage = self.resources["aws_api_gateway_stage.this"]["stage_name"]
        return f"{self.emulator.address}/restapis/{api}/{stage}/_user_request_"

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Address -> attributes, of one type."""
        return {name: made for name, made in self.resources.items() if name.startswith(f"{kind}.")}


#: For one test of this folder, the applying and the destroying included: a minute on an idle
#: machine, and many on one that has other things to do.
_TIMEOUT_S = 1800


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who takes the stack away comes last, nobody is hurried, and one process has the stack."""
    items.sort(
        key=lambda item: [
            end in getattr(item, "fixturenames", ()) for end in ("emptied", "destroyed")
        ]
    )
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))
            if {"emulator", "host_zip"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.fixture(scope="session")
def terraform_program() -> str:
    """The program, or a skip: it is no Python package that we could install."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    return "terraform"


@pytest.fixture(scope="session")
def host_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Lambda zip for this machine's Python, which the emulator runs it with."""
    out = tmp_path_factory.mktemp("lambda") / "host.zip"
    build(architecture=_machine(), python=f"3.{sys.version_info.minor}", out=out)
    return out


def _machine() -> str:
    return {"x86_64": "x86_64", "aarch64": "arm64"}[os.uname().machine]


def _claim(place: Path, worker: str) -> None:
    """Two stacks would take twice as long, and nobody would see why."""
    try:
        place.touch(exist_ok=False)
    except FileExistsError:
        pytest.exit(f"{worker} needs the stack that {place.read_text()} has: see its group", 1)
    place.write_text(worker)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The running emulator."""
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) is not None:
        _claim(tmp_path_factory.getbasetemp().parent / "stack", worker)
    folder, port = tmp_path_factory.mktemp("emulator"), Ports.free().aws
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("emulator.py"))],
            env=without_aws() | settings(port, folder) | {"EMULATOR_CALLS": str(folder / "calls")},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + _START_S
        while is_free(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield Emulator(address=f"http://{HOST}:{port}", log=folder / "log", calls=folder / "calls")
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def variables(
    tmp_path_factory: pytest.TempPathFactory, host_zip: Path, emulator: Emulator
) -> dict[str, object]:
    """The stack's variables: two runtimes, so that a job can go astray; all that is optional."""
    zone = emulator.client("route53").create_hosted_zone(Name=DOMAIN, CallerReference="tests")
    catalogue = yaml.safe_load((ROOT / "runtimes.yaml").read_text())
    catalogue["runtimes"]["other"] = catalogue["runtimes"]["demo"]
    runtimes = tmp_path_factory.mktemp("catalogue") / "runtimes.yaml"
    runtimes.write_text(yaml.safe_dump(catalogue))
    return {
        "name": NAME,
        "region": REGION,
        "disposable": True,
        "runtimes_file": str(runtimes),
        "checkpoints": {"first.safetensors": "demo", "second.safetensors": "other"},
        "lambda_package": {
            "zip": str(host_zip),
            "architecture": _machine(),
            "python": f"3.{sys.version_info.minor}",
        },
        "admin_cidrs": ["192.0.2.0/24"],
        "admin_principals": ["arn:aws:iam::000000000000:role/admin"],
        "interface_endpoints": ["sqs"],
        "input_buckets": ["pictures-of-clients"],
        "alarms": {"email": "somebody@example.org", "monthly_budget_usd": 200},
        "exposure": {
            "mode": "internal",
            "runtime": "demo",
            "hostname": f"demo.{DOMAIN}",
            "zone_id": zone["HostedZone"]["Id"].rpartition("/")[2],
        },
        # The emulator has neither groups nor sampling rules of X-Ray.
        "tracing": False,
    }


@pytest.fixture(scope="session")
def deployment(
    tmp_path_factory: pytest.TempPathFactory,
    terraform_program: str,
    emulator: Emulator,
    variables: dict[str, object],
) -> Deployment:
    """The installation as `darkroom deploy` makes it; there is no cluster behind its EKS."""
    folder = tmp_path_factory.mktemp("module")
    copy = Terraform.copied(folder, aws_environ(emulator.address), **variables)
    # What the overlay says is said to plans of the tests, too.
    shutil.copy(copy.folder / "envs/dev.tfvars", copy.folder / "dev.auto.tfvars")
    home = tmp_path_factory.mktemp("home")
    journal = Journal(home / "log")
    return Deployment(
        wanted=Wanted(name=NAME, region=REGION, work=home, extra=variables),
        account=identify(emulator.client("sts")),
        connect=functools.cache(functools.partial(emulator.client, agent="deployer")),
        programs=Programs(environ=copy.environ, heard=journal.note),
        journal=journal,
        catalogue=Catalogue.from_yaml(Path(str(variables["runtimes_file"])).read_text()),
        package=lambda: None,
        delete_data=True,
        emulated=True,
        module=copy.folder,
    )


@pytest.fixture(scope="session")
def module(deployment: Deployment) -> Terraform:
    """The module, with the same state; that lies in a bucket of the emulator, with a lock."""
    bucket = deployment.state_bucket
    run([bucket], deployment.journal, again="the tests again")
    copy = Terraform(folder=deployment.module, environ=dict(deployment.programs.environ))
    try:
        copy.init(bucket=bucket.bucket, key=deployment.wanted.state_key)
    except TerraformFailed as failed:
        last = " ".join(str(failed).split())[-200:]
        pytest.skip(f"terraform cannot get its provider: ... {last}")
    return copy


@pytest.fixture(scope="session")
def applied(emulator: Emulator, deployment: Deployment, module: Terraform) -> Iterator[Applied]:
    """The applied stack."""
    run([deployment.infrastructure], deployment.journal, again="the tests again")
    resources: dict[str, dict[str, Any]] = {}
    for resource in module.state()["resources"]:
        for made in resource["instances"]:
            key = made.get("index_key")
            index = "" if key is None else f'["{key}"]' if isinstance(key, str) else f"[{key}]"
            prefix = "data." if resource["mode"] == "data" else ""
            resources[f"{prefix}{resource['type']}.{resource['name']}{index}"] = made["attributes"]
    yield Applied(
        emulator=emulator, terraform=module, outputs=module.outputs(), resources=resources
    )


@pytest.fixture(scope="session")
def plan(applied: Applied) -> dict[str, Any]:
    """A plan after the apply: nothing was changed in between."""
    return applied.terraform.plan()


@pytest.fixture(scope="session")
def planned(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """address -> attributes as the module says them: the emulator does not keep all of them."""
    resources = plan["planned_values"]["root_module"]["resources"]
    return {each["address"]: each["values"] for each in resources if "values" in each}


@pytest.fixture(scope="session")
def emptied(applied: Applied, deployment: Deployment) -> Applied:
    """The stack after a removal that keeps the data: nearly its end."""
    bucket = applied.outputs["app_config"]["shared"]["DARKROOM_BUCKET"]
    applied.emulator.client("s3").put_object(Bucket=bucket, Key="kept", Body=b"an image")
    keeping = replace(deployment, delete_data=False)
    run(removal(keeping, None), deployment.journal, again="the tests again")
    return applied


@pytest.fixture(scope="session")
def destroyed(emptied: Applied, deployment: Deployment) -> Applied:
    """The stack after its end, but for its state: whoever asks for it comes last."""
    run(removal(deployment, None)[:-1], deployment.journal, again="the tests again")
    return emptied
