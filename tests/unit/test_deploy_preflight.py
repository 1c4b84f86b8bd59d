"""Quotas, regions and programs: how they are judged, and how a scripted account is asked."""

from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError

from darkroom.deploy import quota
from darkroom.deploy.errors import Unfit
from darkroom.deploy.node_pools import GpuLimits
from darkroom.deploy.preflight import (
    Preflight,
    demand,
    judged_programs,
    judged_region,
    judged_spot_role,
    read_quotas,
)
from darkroom.deploy.program import ALL, DOCKER, HELM, Found
from darkroom.deploy.quota import (
    ADDRESSES,
    BUCKETS,
    FILL_RATE,
    GPU_ON_DEMAND,
    GPU_SPOT,
    LAMBDAS,
    STANDARD,
    VPCS,
    Demand,
    Finding,
    Reading,
    judged,
    largest_burst,
)
from darkroom.names import OVERLAYS
from jobs.catalogue import Catalogue
from records.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
#: Quotas that the AWS guidance names, and those that its users met besides.
NAMED = {
    "L-DB2E81BA", "L-3819A6DF", "L-F8E2BA85", "L-F678F1CE", "L-FE5A380F", "L-0263D0A3",
    "L-DC2B2D3D", "L-1216C47A",
}  # fmt: skip

NOTHING_TO_BUILD = {"platforms": set, "builder": lambda platforms: ()}


def needs(**changed):
    """What an installation with eight GPUs needs."""
    usual = {
        "gpu_nodes": 8,
        "gpu_limits": GpuLimits(spot=32, on_demand=8),
        "system_vcpus": 4,
        "other_vcpus": 4,
        "new_vpc": True,
        "nat_gateways": 1,
        "buckets": 3,
        "messages_a_second": 60,
        "lambdas": 100,
    }
    return Demand(**(usual | changed))


def texts(readings, wanted=None):
    return [each.text for each in judged(wanted or needs(), readings, "us-west-2")]


def test_all_quotas_that_the_guidance_names_are_looked_at():
    """And standard vCPUs, Lambda's concurrency, the rate at which volumes are filled."""
    assert {each.code for each in quota.ALL} > NAMED
    assert {LAMBDAS, FILL_RATE} < set(quota.ALL)


@pytest.mark.parametrize(
    ("limit", "used", "fatal"),
    [(64, None, None), (32, None, None), (31, None, False), (0, None, False), (40, 16, False)],
)
def test_gpu_quotas_are_compared_with_the_chosen_maximum(limit, used, fatal):
    """Eight g5.xlarge are 32 vCPUs. Too few bound a burst; jobs wait and none is lost."""
    found = list(judged(needs(), {GPU_SPOT: Reading(limit=limit, used=used)}, "us-west-2"))
    assert [each.fatal for each in found] == ([] if fatal is None else [fatal])


def test_a_quota_that_is_too_small_comes_with_the_command_that_raises_it():
    """Ready to be pasted."""
    [text] = texts({GPU_ON_DEMAND: Reading(limit=0)})
    assert "0, 32 are needed" in text
    assert "request-service-quota-increase --region us-west-2" in text
    assert "--quota-code L-DB2E81BA --desired-value 32" in text


def test_what_could_not_be_read_is_said_with_what_is_needed():
    """Silence would look like enough."""
    [text] = texts({STANDARD: Reading(limit=None, why="AccessDenied")})
    assert "not readable (AccessDenied), usually 5; 8 are needed" in text


def test_an_account_that_is_full_of_vpcs_stops_it_and_an_existing_vpc_needs_none():
    """Terraform would fail of it after ten minutes."""
    full = {VPCS: Reading(limit=5, used=5)}
    assert [each.fatal for each in judged(needs(), full, "us-west-2")] == [True]
    assert texts(full, needs(new_vpc=False)) == []


@pytest.mark.parametrize(
    ("spot", "on_demand", "fill", "snapshot", "expected"),
    [
        (64, 16, None, False, 20),
        (64, 0, 1500, True, 5),
        (64, 0, 1500, False, 16),
        (0, 0, 5000, True, 0),
        (None, 16, 5000, True, None),
        (400, 400, None, False, 40),
        (400, 4, None, False, 33),
    ],
)
def test_the_largest_burst_is_what_the_tightest_quota_allows(
    spot, on_demand, fill, snapshot, expected
):
    """vCPUs of both markets, the NodePools' 32 and 8, how many volumes are filled at full rate."""
    readings = {
        GPU_SPOT: Reading(limit=spot),
        GPU_ON_DEMAND: Reading(limit=on_demand),
        FILL_RATE: Reading(limit=fill),
    }
    burst = largest_burst(needs().gpu_limits, readings, snapshot=snapshot)
    assert (burst and burst[0]) == expected


@pytest.mark.parametrize(
    ("offered", "fatal", "word"),
    [
        (["g5.xlarge", "g4dn.xlarge"], None, ""),
        (["g6.xlarge", "g4dn.xlarge"], False, "g6, g4dn"),
        (["g4dn.xlarge"], True, "manifests/base/node-pools.yaml"),
        ([], True, "another region"),
    ],
)
def test_a_region_without_g5_is_told_what_to_use_instead(offered, fatal, word):
    """The NodePools ask for g5 and g6."""
    found = list(judged_region("eu-south-2", offered))
    assert [each.fatal for each in found] == ([] if fatal is None else [fatal])
    assert all(word in each.text for each in found)


def test_one_of_docker_and_buildah_is_enough():
    """And none, where images are given."""
    there = [Found(needed=each, path=f"/usr/bin/{each.name}", version=(99, 0)) for each in ALL]
    without = [
        Found(needed=each.needed, path=None, fault="docker is not installed")
        if each.needed is DOCKER
        else each
        for each in there
    ]
    assert list(judged_programs(without, building=True)) == []
    none = [each for each in without if each.needed.name != "buildah"]
    assert [each.fatal for each in judged_programs(none, building=True)] == [True]
    assert list(judged_programs(none, building=False)) == []


def test_a_missing_program_stops_before_anything_is_changed():
    """With where to get it."""
    found = [Found(needed=HELM, path=None, fault="helm is not installed")]
    [finding] = judged_programs(found, building=False)
    assert finding.fatal
    assert "https://helm.sh" in finding.text


def test_the_demand_is_what_runtimes_yaml_may_come_to():
    """GPUs by its replicas, other cores by the rest."""
    entries = yaml.safe_load((ROOT / "runtimes.yaml").read_text())
    demo = entries["runtimes"]["demo"]
    entries["runtimes"]["painter"] = demo | {
        "replicas": {"max": 8, "admit_window": 4, "num_cpus": 2, "num_gpus": 1}
    }
    found = demand(
        Catalogue.model_validate(entries),
        gpu_limits=GpuLimits(spot=2, on_demand=1),
        new_vpc=True,
        nat_gateways=1,
        own_bucket=False,
        system=("t4g.large", 1),
    )
    assert (found.gpu_nodes, found.system_vcpus, found.buckets) == (8, 4, 3)
    assert found.other_vcpus == 4


class Quotas:
    """AWS's service of quotas: what was applied to the account, and the defaults of the rest."""

    def __init__(self, values, defaults=None, fill="Volume initialization rate (MiB/s)"):
        self.values = values
        self.defaults = {} if defaults is None else defaults
        self.fill = fill
        self.listed = None

    def get_service_quota(self, *, ServiceCode, QuotaCode):  # noqa: N803  # boto3's spelling
        return self._found(self.values, QuotaCode, "GetServiceQuota")

    def get_aws_default_service_quota(self, *, ServiceCode, QuotaCode):  # noqa: N803
        return self._found(self.defaults, QuotaCode, "GetAWSDefaultServiceQuota")

    def _found(self, values, code, operation):
        if code not in values:
            answer = {"Error": {"Code": values.get("refused", "NoSuchResourceException")}}
            raise ClientError(answer, operation)
        return {"Quota": {"Value": values[code]}}

    def get_paginator(self, name):
        self.listed = {
            "list_service_quotas": self.values,
            "list_aws_default_service_quotas": self.defaults,
        }[name]
        return self

    def paginate(self, *, ServiceCode):  # noqa: N803
        assert ServiceCode == "ebs"
        others = [{"QuotaName": "Concurrent snapshots per gp3 volume", "Value": 5.0}]
        fill = [{"QuotaName": self.fill, "Value": v} for k, v in self.listed.items() if k == "fill"]
        return [{"Quotas": others}, {"Quotas": fill}]


class Account:
    """Whatever else is asked of it: nothing of anything, and no role of spot."""

    offered = "g5.xlarge"

    def get_paginator(self, name):
        if name == "describe_addon_versions":
            raise Unavailable("AccessDenied")
        assert name == "describe_instance_type_offerings"
        return self

    def paginate(self, *, LocationType, Filters):  # noqa: N803
        assert LocationType == "region"
        [wanted] = Filters
        assert "g4dn.*" in wanted["Values"]
        return [{"InstanceTypeOfferings": [{"InstanceType": self.offered}]}]

    def describe_vpcs(self):
        return {"Vpcs": [{}, {}]}

    def describe_addresses(self):
        return {"Addresses": []}

    def list_buckets(self):
        return {"Buckets": []}

    def get_role(self, *, RoleName):  # noqa: N803
        raise Unavailable("AccessDenied")


class OldRegion(Account):
    """One with no GPU but g4dn, in an account that never had a spot instance."""

    offered = "g4dn.xlarge"

    def get_role(self, *, RoleName):  # noqa: N803
        assert RoleName == "AWSServiceRoleForEC2Spot"
        raise ClientError({"Error": {"Code": "NoSuchEntity"}}, "GetRole")


def connect(values):
    return lambda service: Quotas(values) if service == "service-quotas" else Account()


@pytest.mark.parametrize(
    "name", ["Volume initialization rate", "Provisioned Rate for Volume Initialization (MiB/s)"]
)
def test_a_quota_without_a_code_is_found_by_words_of_its_name(name):
    """AWS's pages tell neither; they have two names of the feature."""
    services = {"service-quotas": Quotas({"L-F678F1CE": 6.0, "fill": 5000.0}, fill=name)}
    readings = read_quotas(lambda service: services.get(service, Account()), "demo")
    assert readings[FILL_RATE] == Reading(limit=5000)
    assert readings[VPCS] == Reading(limit=6, used=2)


def test_where_nothing_was_applied_to_the_account_awss_default_is_its_limit():
    """AWS says then that there is no such quota; that is so of most accounts."""
    quotas = Quotas({}, defaults={"L-3819A6DF": 0.0, "fill": 5000.0})
    services = {"service-quotas": quotas}
    readings = read_quotas(lambda service: services.get(service, Account()), "demo")
    assert readings[GPU_SPOT] == Reading(limit=0, is_default=True)
    assert readings[FILL_RATE] == Reading(limit=5000, is_default=True)
    assert readings[GPU_ON_DEMAND].limit is None
    assert "0 (AWS default), 32 are needed" in texts({GPU_SPOT: readings[GPU_SPOT]})[0]


def test_a_default_stops_nothing():
    """Some services do not tell what AWS has added to it."""
    reading = Reading(limit=5, used=5, is_default=True)
    assert [each.fatal for each in judged(needs(), {VPCS: reading}, "us-west-2")] == [False]


def test_a_quota_that_may_not_be_read_has_no_default_instead():
    """The account's own may be another."""
    quotas = Quotas({"refused": "AccessDeniedException"}, defaults={"L-3819A6DF": 0.0})
    services = {"service-quotas": quotas}
    readings = read_quotas(lambda service: services.get(service, Account()), "demo")
    assert readings[GPU_SPOT].limit is None
    assert "AccessDeniedException" in readings[GPU_SPOT].why


def test_a_second_run_does_not_count_what_the_first_has_made():
    """Its own VPC would be one too many of an account that has just enough."""

    class Deployed(Account):
        own = {"Tags": [{"Key": "darkroom:installation", "Value": "demo"}]}  # noqa: RUF012
        other = {"Tags": [{"Key": "darkroom:installation", "Value": "demo-two"}]}  # noqa: RUF012

        def describe_vpcs(self):
            return {"Vpcs": [self.own, self.other, {}]}

        def describe_addresses(self):
            return {"Addresses": [self.own]}

        def list_buckets(self):
            return {
                "Buckets": [
                    {"Name": "demo-outputs-1-us-west-2"},
                    {"Name": "demo-dev-outputs-1-us-west-2"},
                ]
            }

    codes = {"L-F678F1CE": 5.0, "L-0263D0A3": 5.0, "L-DC2B2D3D": 100.0}
    services = {"service-quotas": Quotas(codes)}
    readings = read_quotas(lambda service: services.get(service, Deployed()), "demo")
    used = [readings[each].used for each in (VPCS, ADDRESSES, BUCKETS)]
    assert used == [2, 0, 1]


def test_a_role_that_cannot_be_read_is_said():
    """Whoever may not read roles may still deploy."""
    [finding] = judged_spot_role(Account())
    assert not finding.fatal
    assert "not readable" in finding.text


def test_preflight_says_all_and_stops_for_what_cannot_work():
    """All at once, so that one evening is enough for all requests."""
    said = []
    preflight = Preflight(
        connect=connect({"L-F678F1CE": 2.0}),
        programs=lambda: [Found(needed=HELM, path=None, fault="helm is not installed")],
        region="us-west-2",
        installation="demo",
        wanted=needs(gpu_nodes=0),
        **NOTHING_TO_BUILD,
        snapshot=False,
        say=said.append,
    )
    with pytest.raises(Unfit, match="nothing was changed"):
        preflight.apply()
    assert any(text.startswith("✗ helm is not installed") for text in said)
    assert any(text.startswith("✗ VPCs in a region") for text in said)
    assert any(text.startswith("! versions of EKS's add-ons not readable") for text in said)


def test_preflight_asks_whether_the_images_that_are_lacking_can_be_built():
    """Those that are in ECR already need no builder."""

    def texts_of(platforms):
        preflight = Preflight(
            connect=connect({}),
            programs=list,
            region="us-west-2",
            installation="demo",
            wanted=needs(gpu_nodes=0),
            platforms=lambda: platforms,
            builder=lambda platforms: [
                Finding(fatal=True, text=f"no {each}") for each in platforms
            ],
            snapshot=False,
            say=lambda text: None,
        )
        return {each.text for each in preflight.findings() if each.fatal}

    assert {each for each in texts_of({"linux/arm64"}) if "arm64" in each} == {"no linux/arm64"}
    assert not texts_of(set())


def test_preflight_of_gpus_looks_at_region_spot_role_and_the_largest_burst():
    """Each of them is asked by the step itself, and what it does not count is said."""
    quotas = Quotas({"L-3819A6DF": 16.0, "L-DB2E81BA": 8.0})
    services = {"service-quotas": quotas}
    preflight = Preflight(
        connect=lambda service: services.get(service, OldRegion()),
        programs=list,
        region="eu-south-2",
        installation="demo",
        wanted=needs(gpu_nodes=8),
        **NOTHING_TO_BUILD,
        snapshot=True,
        say=lambda text: None,
    )
    found = {finding.text: finding.fatal for finding in preflight.findings()}
    [region] = [text for text in found if text.startswith("eu-south-2 has no g5, but g4dn")]
    assert found[region]
    [spot] = [text for text in found if text.startswith("no service-linked role of spot")]
    assert not found[spot]
    [burst] = [text for text in found if text.startswith("the largest burst")]
    assert "allow: 6 GPU nodes, by spot and on-demand vCPUs" in burst
    assert "that others use in this account are not counted" in burst


def findings_of(service_quotas, **changed):
    """Of an installation in a region with g4dn only."""
    services = {"service-quotas": service_quotas}
    preflight = Preflight(
        connect=lambda service: services.get(service, OldRegion()),
        programs=list,
        region="eu-south-2",
        installation="demo",
        wanted=needs(**changed),
        **NOTHING_TO_BUILD,
        snapshot=False,
        say=lambda text: None,
    )
    return list(preflight.findings())


def test_preflight_of_an_account_that_tells_no_quota_knows_no_burst():
    """It is said, as silence would look like enough."""
    found = [each.text for each in findings_of(Quotas({})) if "burst" in each.text]
    assert found == ["the largest burst of GPU nodes: not known"]


def test_gpus_are_looked_at_before_any_runtime_has_one_and_stop_nothing():
    """To ask for more takes days, and another region is another installation."""
    found = findings_of(
        Quotas({}, defaults={"L-3819A6DF": 0.0, "L-DB2E81BA": 0.0}),
        gpu_nodes=0,
        gpu_limits=GpuLimits(spot=2, on_demand=1),
    )
    assert not any(each.fatal for each in found)
    said = "\n".join(each.text for each in found)
    assert "eu-south-2 has no g5, but g4dn" in said
    assert "0 (AWS default), 8 are needed by a runtime with GPUs; there is none yet" in said
    assert "--quota-code L-3819A6DF --desired-value 8" in said
    assert "--quota-code L-DB2E81BA --desired-value 4" in said
    assert "the largest burst that quotas and NodePools allow: 0 GPU nodes" in said
    assert "EBS volume initialisation" not in said


def test_no_more_vcpus_are_asked_for_than_the_nodepools_may_use():
    """Each market by its own pool."""
    wanted = needs(gpu_nodes=8, gpu_limits=GpuLimits(spot=32, on_demand=2))
    assert (wanted.of(GPU_SPOT), wanted.of(GPU_ON_DEMAND)) == (32, 8)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_limits_are_those_that_karpenter_is_given(overlay):
    """The patch of each overlay, as it is applied to the NodePools of the base."""
    folder = ROOT / "manifests/overlays" / overlay
    limits = GpuLimits.of_overlay(folder)
    assert {"path": "gpu-limits.yaml"} in yaml.safe_load(
        (folder / "kustomization.yaml").read_text()
    )["patches"]
    assert 0 < limits.on_demand <= limits.spot
