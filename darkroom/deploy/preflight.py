"""What is looked at before anything is changed: nothing here writes."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from darkroom.deploy import quota
from darkroom.deploy.addons import judged_addons
from darkroom.deploy.errors import Unfit
from darkroom.deploy.exposure import Exposure, judged_zone
from darkroom.deploy.leftovers import INSTALLATION_TAG
from darkroom.deploy.node_pools import GpuLimits
from darkroom.deploy.program import Found
from darkroom.deploy.quota import Demand, Finding, Quota, Reading
from darkroom.deploy.step import Standing
from darkroom.deploy.wanted import ROOT, Wanted
from jobs.catalogue import Catalogue
from records.errors import ObjectMissing, RecordsError, Unavailable, translated

#: Families of GPU instances that our images run on, as they are preferred.
FAMILIES = ("g5", "g6", "g6e", "g4dn")
SPOT_ROLE = "AWSServiceRoleForEC2Spot"
#: What asks for a quota by its code, and what lists those of a service.
_APPLIED = ("get_service_quota", "list_service_quotas")
_DEFAULT = ("get_aws_default_service_quota", "list_aws_default_service_quotas")
_VCPUS = {"t4g.medium": 2, "t4g.large": 2, "t3a.large": 2}


def judged_region(region: str, offered: Iterable[str]) -> Iterator[Finding]:
    """Whether the region has GPUs that the NodePools ask for; else what to write there."""
    families = {kind.partition(".")[0] for kind in offered}
    if "g5" in families:
        return
    there = [family for family in FAMILIES if family in families]
    if not there:
        yield Finding(
            fatal=True,
            text=f"{region} has none of {', '.join(FAMILIES)}: choose another region by --region",
        )
        return
    yield Finding(
        fatal="g6" not in there,
        text=f"{region} has no g5, but {', '.join(there)}: write that at instance-family in "
        "manifests/base/node-pools.yaml" + (", or leave it: g6 is there" * ("g6" in there)),
    )


def judged_programs(found: Iterable[Found], *, building: bool) -> Iterator[Finding]:
    """What is missing of the programs; of docker and buildah one is enough."""
    by_name = {each.needed.name: each for each in found}
    builders = [by_name.pop(name) for name in ("docker", "buildah") if name in by_name]
    for each in by_name.values():
        if each.fault:
            yield Finding(
                fatal=True, text=f"{each.fault}: it {each.needed.why}. {each.needed.where}"
            )
    if building and all(each.fault for each in builders):
        faults = "; ".join(str(each.fault) for each in builders)
        yield Finding(fatal=True, text=f"{faults}: one of them builds the images, or say --images")


def demand_of(wanted: Wanted, catalogue: Catalogue) -> Demand:
    """What an installation takes of the account."""
    copies = 3 if wanted.overlay == "prod" else 1
    return demand(
        catalogue,
        gpu_limits=GpuLimits.of_overlay(ROOT / "manifests/overlays" / wanted.overlay),
        new_vpc=wanted.vpc is None,
        # An existing VPC brings its own way out.
        nat_gateways=copies if wanted.vpc is None else 0,
        own_bucket=wanted.bucket is not None,
        system=("t4g.large", copies),
    )


def demand(
    catalogue: Catalogue,
    *,
    gpu_limits: GpuLimits,
    new_vpc: bool,
    nat_gateways: int,
    own_bucket: bool,
    system: tuple[str, int],
) -> Demand:
    """What the largest of everything in runtimes.yaml may come to."""
    gpus, other = 0.0, 0.0
    for runtime in catalogue.runtimes.values():
        replicas = runtime.replicas
        if replicas.num_gpus:
            gpus += replicas.max * replicas.num_gpus
        else:
            other += replicas.max * (replicas.num_cpus + 1)
        other += runtime.bridges.max * 0.2
    kind, count = system
    return Demand(
        gpu_nodes=ceil(gpus),
        gpu_limits=gpu_limits,
        # One more while a node is replaced.
        system_vcpus=_VCPUS.get(kind, 4) * (count + 1),
        other_vcpus=ceil(other),
        new_vpc=new_vpc,
        nat_gateways=nat_gateways,
        buckets=2 + (not own_bucket),
        messages_a_second=60,
        lambdas=100,
    )


def read_quotas(
    connect: Callable[[str], Any], installation: str, quotas: Sequence[Quota] = quota.ALL
) -> dict[Quota, Reading]:
    """Each quota's limit, and how much of it others use where that is one call."""
    service, counts = connect("service-quotas"), _counts(connect, installation)
    readings = {}
    for each in quotas:
        used, unread = _used(counts.get(each))
        try:
            limit, is_default = _limit(service, each)
            readings[each] = Reading(limit=limit, used=used, why=unread, is_default=is_default)
        except RecordsError as error:
            readings[each] = Reading(limit=None, used=used, why=str(error))
    return readings


def _limit(service: Any, wanted: Quota) -> tuple[float, bool]:
    """The account's own, or AWS's default, and whether it is that.

    An account has a value of its own only where one was applied to it: for any other AWS says that
    there is no such quota.
    """
    try:
        return _asked(service, wanted, *_APPLIED), False
    except ObjectMissing:
        return _asked(service, wanted, *_DEFAULT), True


def _asked(service: Any, wanted: Quota, get: str, listing: str) -> float:
    with translated("Service Quotas", missing=frozenset({"NoSuchResourceException"})):
        if wanted.code:
            answer = getattr(service, get)(ServiceCode=wanted.service, QuotaCode=wanted.code)
            return float(answer["Quota"]["Value"])
        for page in service.get_paginator(listing).paginate(ServiceCode=wanted.service):
            for each in page["Quotas"]:
                if wanted.is_called(each["QuotaName"]):
                    return float(each["Value"])
    raise ObjectMissing(f"Service Quotas, {listing}: none of that name")


def _counts(connect: Callable[[str], Any], installation: str) -> Mapping[Quota, Callable[[], int]]:
    """What this installation has already is a part of what it needs, so it does not count."""
    ec2, s3 = connect("ec2"), connect("s3")
    own = {"Key": INSTALLATION_TAG, "Value": installation}
    # Of data, or with the account's number, of the state: `darkroom-dev` is not `darkroom`.
    buckets = re.compile(rf"{re.escape(installation)}-(outputs|models|\d{{12}})-")

    def others(found: Sequence[Mapping[str, Any]]) -> int:
        return sum(own not in each.get("Tags", ()) for each in found)

    return {
        quota.VPCS: lambda: others(ec2.describe_vpcs()["Vpcs"]),
        quota.ADDRESSES: lambda: others(ec2.describe_addresses()["Addresses"]),
        quota.BUCKETS: lambda: sum(
            not buckets.match(each["Name"]) for each in s3.list_buckets()["Buckets"]
        ),
    }


def _used(count: Callable[[], int] | None) -> tuple[float | None, str]:
    if count is None:
        return None, ""
    try:
        with translated("what is in use"):
            return count(), ""
    except RecordsError as error:
        return None, str(error)


def read_families(ec2: Any) -> list[str]:
    """Types of the families above that the region offers."""
    wanted = [{"Name": "instance-type", "Values": [f"{family}.*" for family in FAMILIES]}]
    with translated("EC2 DescribeInstanceTypeOfferings"):
        pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
            LocationType="region", Filters=wanted
        )
        return [each["InstanceType"] for page in pages for each in page["InstanceTypeOfferings"]]


def judged_spot_role(iam: Any) -> Iterator[Finding]:
    """Without its service-linked role EC2 gives an account no spot instance."""
    try:
        with translated("IAM GetRole", missing=frozenset({"NoSuchEntity"})):
            iam.get_role(RoleName=SPOT_ROLE)
    except ObjectMissing:
        yield Finding(
            fatal=False,
            text="no service-linked role of spot: until it is there GPU nodes are on demand only. "
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
        )
    except Unavailable as error:
        yield Finding(fatal=False, text=f"whether spot has its role is not readable ({error})")


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """The first step: looks, says what it could not read, and stops what cannot work."""

    connect: Callable[[str], Any]
    programs: Callable[[], Sequence[Found]]
    region: str
    installation: str
    wanted: Demand
    #: Of the images that have to be built.
    platforms: Callable[[], Collection[str]]
    #: Whether they can be built here.
    builder: Callable[[Collection[str]], Iterable[Finding]]
    snapshot: bool
    say: Callable[[str], None]
    exposure: Exposure = field(default_factory=Exposure)

    name = "preflight"
    takes = "seconds"

    def check(self) -> Standing:
        """Never done: quotas and programs change between runs."""
        return Standing(done=False)

    def apply(self) -> None:
        """Say all findings; `Unfit` if one of them is fatal."""
        findings = list(self.findings())
        for finding in findings:
            self.say(("✗ " if finding.fatal else "! ") + finding.text)
        if any(finding.fatal for finding in findings):
            raise Unfit("nothing was changed: what is marked ✗ above has to be mended first")

    def undo(self) -> None:
        """Nothing was made."""

    def findings(self) -> Iterator[Finding]:
        """All judgements."""
        platforms = self.platforms()
        yield from judged_programs(self.programs(), building=bool(platforms))
        yield from self.builder(platforms)
        yield from self._gpus()
        yield from judged_spot_role(self.connect("iam"))
        yield from judged_addons(self.connect("eks"))
        if self.exposure:
            yield from judged_zone(self.connect("route53"), self.exposure)
        readings = read_quotas(self.connect, self.installation)
        yield from quota.judged(self.wanted, readings, self.region)
        yield from self._burst(readings)

    def _gpus(self) -> Iterator[Finding]:
        """Also before there is a runtime for them: another region is another installation."""
        try:
            found = list(judged_region(self.region, read_families(self.connect("ec2"))))
        except RecordsError as error:
            found = [Finding(fatal=False, text=f"GPUs of {self.region} not readable ({error})")]
        for each in found:
            yield replace(each, fatal=each.fatal and self.wanted.gpu_nodes > 0)

    def _burst(self, readings: Mapping[Quota, Reading]) -> Iterator[Finding]:
        burst = quota.largest_burst(self.wanted.gpu_limits, readings, snapshot=self.snapshot)
        if burst is None:
            yield Finding(fatal=False, text="the largest burst of GPU nodes: not known")
        else:
            nodes, bound = burst
            yield Finding(
                fatal=False,
                # CloudWatch has figures of their use, of some minutes ago; they are not read here.
                text=f"the largest burst that quotas and NodePools allow: {nodes} GPU nodes, by "
                f"{bound}; G and VT vCPUs that others use in this account are not counted",
            )
