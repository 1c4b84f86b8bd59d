"""A cluster that is removed from another address than it was deployed from."""

from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.account import Account
from darkroom.deploy.cluster import write_kubeconfig
from darkroom.deploy.endpoint import OpenedEndpoint
from darkroom.deploy.errors import NotReady, ProgramFailed, Unfit
from darkroom.deploy.journal import Journal
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.removal import removal
from darkroom.deploy.wanted import Wanted

HERE, THERE = "198.51.100.7/32", "192.0.2.0/24"


class Eks:
    """An EKS whose endpoint is open to some, and takes two looks to be open to others."""

    def __init__(self, *cidrs, public=True, ends="Successful"):
        self.access = {"endpointPublicAccess": public, "publicAccessCidrs": list(cidrs)}
        self.ends = ends
        self.asked = []
        self.looks = 0
        #: Looks until an update of somebody else's, after which these are let in as well.
        self.busy, self.later = 0, []

    def describe_cluster(self, name):
        status = "UPDATING" if self.busy else "ACTIVE"
        self.busy = max(0, self.busy - 1)
        if not self.busy and self.later:
            self.access["publicAccessCidrs"] += self.later
            self.later = []
        return {"cluster": {"status": status, "resourcesVpcConfig": dict(self.access)}}

    def update_cluster_config(self, name, resourcesVpcConfig):  # noqa: N803  # boto3's spelling
        self.asked.append(resourcesVpcConfig)
        return {"update": {"id": "u-1", "status": "InProgress"}}

    def describe_update(self, name, updateId):  # noqa: N803  # boto3's spelling
        assert updateId == "u-1"
        self.looks += 1
        if self.looks < 2:
            return {"update": {"id": "u-1", "status": "InProgress"}}
        if self.ends == "Successful":
            self.access = self.asked[-1]
        errors = [{"errorMessage": "too many of them"}] if self.ends == "Failed" else []
        return {"update": {"id": "u-1", "status": self.ends, "errors": errors}}


class Kubectl:
    """A cluster that answers those whom its endpoint is open to."""

    def __init__(self, eks, address=HERE):
        self.eks = eks
        self.address = address

    def kubectl(self, *words):
        assert words[:3] == ("get", "--raw", "/readyz")
        access = self.eks.access
        if access["endpointPublicAccess"] and self.address in access["publicAccessCidrs"]:
            return "ok"
        raise ProgramFailed("kubectl get ended with 1:\ndial tcp: i/o timeout")


@pytest.fixture
def slept():
    return []


@pytest.fixture
def step(slept):
    """The step, for a cluster of such an EKS."""

    def made(eks, **given):
        given = {"cluster": Kubectl(eks), "cidrs": (), "own": lambda: HERE} | given
        return OpenedEndpoint(eks=eks, installation="demo", sleep=slept.append, **given)

    return made


def test_an_update_that_is_under_way_is_waited_for(step, slept):
    """EKS refuses a second one; the first may let us in already."""
    eks = Eks(THERE)
    eks.busy, eks.later = 2, [HERE]
    step(eks).apply()
    assert eks.asked == []
    assert len(slept) == 2


def test_networks_of_ipv6_that_a_person_let_in_stay(step):
    """They hold none of ours."""
    eks = Eks("2001:db8::/32")
    step(eks).apply()
    assert eks.access["publicAccessCidrs"] == ["2001:db8::/32", HERE]


def test_a_cluster_that_answers_is_left_as_it_is(step):
    """Nor is anybody asked for this machine's address."""
    eks = Eks(HERE)
    assert step(eks).check().done
    assert eks.asked == []


def test_from_another_address_the_endpoint_is_opened_to_that_as_well(step, slept):
    """Whoever is let in already stays so; EKS takes minutes, and is waited for."""
    eks = Eks(THERE)
    opened = step(eks)
    assert not opened.check().done
    opened.apply()
    assert eks.asked == [{"endpointPublicAccess": True, "publicAccessCidrs": [THERE, HERE]}]
    assert opened.check().done
    assert len(slept) == 2


def test_who_is_let_in_may_be_said(step):
    """Where this machine's way to the internet is not its way to AWS."""
    eks = Eks(THERE)
    step(eks, cidrs=["203.0.113.9/32"], cluster=Kubectl(eks, "203.0.113.9/32")).apply()
    assert eks.access["publicAccessCidrs"] == [THERE, "203.0.113.9/32"]


def test_an_endpoint_that_was_closed_is_not_opened_to_the_world(step):
    """Of such a one EKS says 0.0.0.0/0, which says nothing."""
    eks = Eks("0.0.0.0/0", public=False)
    step(eks).apply()
    assert eks.access["publicAccessCidrs"] == [HERE]


@pytest.mark.parametrize("within", [HERE, "198.51.100.0/24", "0.0.0.0/0"])
def test_a_cluster_that_is_silent_although_we_are_let_in_is_not_opened_further(step, within):
    """Something else is the cause, and what kubectl says of it is passed on."""
    eks = Eks(within)
    with pytest.raises(NotReady, match=r"(?s)i/o timeout.*is open to .*--admin-cidr"):
        step(eks, cluster=Kubectl(eks, "somewhere else")).apply()
    assert eks.asked == []


def test_an_endpoint_that_opens_and_stays_silent_is_not_waited_for_for_ever(step, slept):
    """Two minutes after the update."""
    eks = Eks(THERE)
    with pytest.raises(NotReady, match=f"open to {THERE}, {HERE}"):
        step(eks, cluster=Kubectl(eks, "somewhere else")).apply()
    assert sum(slept) == 140


def test_an_update_that_fails_says_why(step):
    """EKS takes forty networks, and no private ones."""
    with pytest.raises(NotReady, match=r"is Failed after 20 s. too many of them"):
        step(Eks(THERE, ends="Failed")).apply()


def test_a_network_that_is_none_is_refused(step):
    """Before EKS is asked for anything."""
    eks = Eks(THERE)
    with pytest.raises(Unfit, match="--admin-cidr here: no IPv4 network"):
        step(eks, cidrs=["here"]).apply()
    assert eks.asked == []


@pytest.fixture
def deployment(catalogue, tmp_path):
    """One in an account in memory."""
    with mock_aws():
        yield Deployment(
            wanted=Wanted(name="demo", region="us-west-2", work=tmp_path),
            account=Account(id="111122223333", arn="arn:aws:iam::111122223333:root"),
            connect=lambda service: boto3.client(service, region_name="us-west-2"),
            programs=Programs(),
            journal=Journal(tmp_path / "log"),
            catalogue=catalogue,
            package=lambda: None,
        )


def test_a_removal_looks_whether_the_cluster_answers_before_it_changes_anything(deployment):
    """Else the API would be closed, and the removal stop at the next step."""
    wanted = replace(deployment.wanted, admin_cidrs=(HERE,))
    first, second = removal(replace(deployment, wanted=wanted), deployment.cluster)[:2]
    assert isinstance(first, OpenedEndpoint)
    assert first.cidrs == (HERE,)
    assert second.name.startswith("stop intake")
    assert not isinstance(removal(deployment, None)[0], OpenedEndpoint)


@pytest.mark.parametrize(("status", "there"), [("ACTIVE", True), ("DELETING", False)])
def test_a_cluster_that_is_being_deleted_is_none(tmp_path, status, there):
    """A removal that was killed goes on from there, and asks it nothing more."""

    class Known:
        def describe_cluster(self, name):
            found = {
                "status": status,
                "endpoint": "https://a",
                "certificateAuthority": {"data": "b"},
            }
            return {"cluster": found}

    assert write_kubeconfig(Known(), "demo", "us-west-2", tmp_path / "kubeconfig") is there
