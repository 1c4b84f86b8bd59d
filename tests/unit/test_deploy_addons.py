"""Whether EKS offers the add-ons that Terraform pins is looked at before anything costs."""

from botocore.exceptions import ClientError

from darkroom.deploy.addons import judged_addons, pinned
from darkroom.deploy.snapshot_step import kubernetes_version

ADDONS = {
    "vpc-cni",
    "coredns",
    "kube-proxy",
    "eks-pod-identity-agent",
    "aws-mountpoint-s3-csi-driver",
}


class Eks:
    """One that offers what is pinned, but for what it is told to lack."""

    def __init__(self, *, lacks=(), refuses=()):
        self.lacks, self.refuses = lacks, refuses

    def get_paginator(self, call):
        assert call == "describe_addon_versions"
        return self

    def paginate(self, *, addonName, kubernetesVersion):  # noqa: N803
        if addonName in self.refuses:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeAddonVersions")
        assert kubernetesVersion == kubernetes_version()
        usual = {"clusterVersion": kubernetesVersion, "defaultVersion": True}
        older = {"clusterVersion": kubernetesVersion, "defaultVersion": False}
        yield {"addons": [self._of(addonName, "v9.9.9-eksbuild.1", usual)]}
        if addonName not in self.lacks:
            yield {"addons": [self._of(addonName, pinned()[addonName], older)]}

    def _of(self, addon, version, compatible):
        versions = [{"addonVersion": version, "compatibilities": [compatible]}]
        return {"addonName": addon, "addonVersions": versions}


def test_all_pins_of_terraform_are_read():
    """Each with a version; a test of Terraform holds the five names."""
    assert pinned().keys() == ADDONS
    assert all(version.startswith("v") for version in pinned().values())


def test_nothing_is_said_of_versions_that_are_offered():
    """They need not be the usual ones."""
    assert list(judged_addons(Eks())) == []


def test_a_version_that_is_not_offered_stops_it_with_the_one_to_write_instead():
    """Terraform would be refused when cluster and NAT gateway are there."""
    [finding] = judged_addons(Eks(lacks=["coredns"]))
    assert finding.fatal
    assert finding.text.startswith(f"EKS offers no coredns {pinned()['coredns']} for Kubernetes")
    assert "is v9.9.9-eksbuild.1: write that at addon_versions" in finding.text


def test_what_may_not_be_read_is_said_once_and_stops_nothing():
    """The others are judged all the same."""
    stops, says = judged_addons(Eks(lacks=["coredns"], refuses=["kube-proxy", "vpc-cni"]))
    assert (stops.fatal, says.fatal) == (True, False)
    assert says.text.startswith("versions of EKS's add-ons not readable: vpc-cni, kube-proxy (")
