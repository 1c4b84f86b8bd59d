"""What a deployment would do and cost, planned against its state or against an emulated AWS."""

import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom import emulator
from darkroom.cost import idle
from darkroom.deploy.changes import Changes
from darkroom.deploy.plan import Deployment
from darkroom.deploy.step import Step
from darkroom.inventory import Inventory
from darkroom.ports import HOST, Ports
from darkroom.prices import Line, Prices, total
from darkroom.process import StackProcess

_START_S = 120
#: What the account decides and no price list: free tiers, data, how much is logged.
_BY_ACCOUNT = ("data through NAT", "logs", "container images", "snapshot of the images",
               "weights in S3", "KMS requests", "SQS: looks at the queues",
               "its capacity units")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was planned."""

    steps: Sequence[Step]
    changes: Changes
    lines: list[Line]
    #: Nothing was there, or no account to look into.
    emulated: bool

    def shown(self) -> list[str]:
        """For people."""
        shown = [f"{n:3}. {step.name} ({step.takes})" for n, step in enumerate(self.steps, start=1)]
        shown += ["", *self.changes.lines()]
        if self.changes.guarded:
            shown.append(f"refused without --allow-destroy: {', '.join(self.changes.guarded)}")
        shown += ["", "An idle month, in USD:"]
        shown += [
            f"  {line.usd:10.2f}  {line.name}{' *' if line.name in _BY_ACCOUNT else ''}"
            for line in self.lines
            if line.usd >= 0.005
        ]
        shown += [
            f"  {total(self.lines):10.2f}  together",
            "* depends on the account's use; list prices of us-west-2, no free tier",
        ]
        return shown


@contextmanager
def emulated() -> Iterator[str]:
    """The address of an AWS that lives for this block."""
    with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
        home, port = Path(folder), Ports.free().aws
        process = StackProcess(
            "aws",
            [sys.executable, "-m", "ministack"],
            env=emulator.without_aws() | emulator.settings(port, home),
            log=home / "aws.log",
        )
        try:
            url = f"http://{HOST}:{port}"
            process.wait_until(lambda: emulator.answers(url), timeout_s=_START_S)
            yield url
        finally:
            process.stop(grace_s=10)


def rehearse(deployment: Deployment, url: str, home: Path) -> Rehearsal:
    """Plan `deployment` against the emulator at `url`; its files go to `home`."""
    stand_in = home / "lambda.zip"
    with zipfile.ZipFile(stand_in, "w"):
        pass  # what is in it makes no difference to a plan
    extra = {"lambda_package": {"zip": str(stand_in.resolve())}, **deployment.wanted.extra}
    emulated_deployment = replace(
        deployment,
        wanted=replace(deployment.wanted, work=home, extra=extra),
        connect=lambda service: emulator.client(url, service),
        programs=replace(deployment.programs, environ=emulator.without_aws()),
        package=lambda: None,
        emulated=True,
        environ={**emulator.addressed(url), "NO_PROXY": HOST, **deployment.environ},
    )
    bucket = emulated_deployment.state_bucket
    if not bucket.check().done:
        bucket.apply()
    return _planned(emulated_deployment)


def compare(deployment: Deployment, home: Path) -> Rehearsal:
    """Plan `deployment` against its own state, and write nothing there; its files go to `home`."""
    deployment.package()
    deployment = replace(deployment, wanted=replace(deployment.wanted, work=home))
    # No lock: it would be an object in the bucket, and who is killed leaves it there. This plan
    # is applied by nobody.
    return _planned(deployment, "-lock=false")


def _planned(deployment: Deployment, *more: str) -> Rehearsal:
    terraform = deployment.terraform
    terraform.init()
    terraform.plan(*more)
    plan = terraform.planned()
    lines = idle(Inventory.of_plan(plan), Prices.listed(), head_awake=True)
    return Rehearsal(
        steps=deployment.deploy(),
        changes=Changes.of_plan(plan),
        lines=lines,
        emulated=deployment.emulated,
    )
