"""What a command line asks for, together with what the installation was told before."""

from dataclasses import replace

from darkroom.deploy.account import NOBODY
from darkroom.deploy.errors import Unfit
from darkroom.deploy.options import Options
from darkroom.deploy.plan import Deployment
from darkroom.deploy.vpc import read_vpc
from darkroom.deploy.wanted import Vpc
from darkroom.screen import people


def requested(deployment: Deployment, given: Options) -> Deployment:
    """The deployment by its options: those that are given, else those that it had before."""
    options = given if deployment.account is NOBODY else _with_those_before(deployment, given)
    wanted = replace(deployment.wanted.told(options), said=given)
    if wanted.runtime not in deployment.catalogue.runtimes:
        raise Unfit(f"--runtime is one of {', '.join(deployment.catalogue.runtimes)}")
    return _within(replace(deployment, wanted=wanted), options.one("existing-vpc"))


def _with_those_before(deployment: Deployment, given: Options) -> Options:
    before, say = deployment.memory.recall(deployment.wanted).options, deployment.journal.say
    if before is None:
        if deployment.state_bucket.exists():
            say(
                "nobody has written down which options it was deployed with: what is not said now "
                "is as if it had never been said"
            )
        return given
    for line in given.told(before):
        say(line)
    return given.over(before)


def _within(deployment: Deployment, vpc: str | None) -> Deployment:
    """The deployment in an existing VPC, if one was named."""
    if vpc is None:
        return deployment
    if deployment.account is NOBODY:
        said = f"no credentials: {vpc} is not read, two zones are taken for granted"
        people.print(said, markup=False)
        found = Vpc(
            id=vpc,
            subnet_ids=["subnet-1", "subnet-2"],
            route_table_ids=["rtb-1"],
            public_subnet_ids=["subnet-3", "subnet-4"],
        )
    else:
        public = deployment.wanted.exposure.mode == "public"
        name = deployment.wanted.name
        found = read_vpc(deployment.connect("ec2"), vpc, name, public=public)
    return replace(deployment, wanted=replace(deployment.wanted, vpc=found))
