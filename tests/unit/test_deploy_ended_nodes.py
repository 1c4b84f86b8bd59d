"""A removal waits for the last node, and for what outlives it."""

import pytest
from botocore.exceptions import ClientError

from darkroom.deploy.errors import NotReady, ProgramFailed
from darkroom.deploy.farewell import EndedNodes


class Interfaces:
    """An EC2 in which a node has ended, and its network interface lets go of it later."""

    def __init__(self, free_after):
        self.free_after = free_after
        self.looks = 0
        self.there = {"eni-node": "i-node", "eni-system": "i-system"}

    def describe_instances(self, **_):
        ended = {"InstanceId": "i-node", "State": {"Name": "terminated"}}
        return {"Reservations": [{"Instances": [ended]}]}

    def describe_network_interfaces(self, **_):
        self.looks += 1
        if self.looks > self.free_after and "eni-node" in self.there:
            self.there["eni-node"] = None
        return {
            "NetworkInterfaces": [
                {"NetworkInterfaceId": name, "Status": "in-use", "Attachment": {"InstanceId": node}}
                if node
                else {"NetworkInterfaceId": name, "Status": "available"}
                for name, node in self.there.items()
            ]
        }

    def delete_network_interface(self, NetworkInterfaceId):  # noqa: N803  # boto3's spelling
        if self.there.pop(NetworkInterfaceId):
            raise ClientError({"Error": {"Code": "InvalidNetworkInterface.InUse"}}, "Delete")


class Deleted:
    """A cluster that notes what is deleted."""

    def __init__(self):
        self.kinds = []

    def delete_all(self, kind, **_):
        self.kinds.append(kind)


def test_a_node_class_goes_after_its_last_node_while_karpenter_is_there():
    """Its finalizer deletes launch templates and instance profiles, once no NodeClaim is left."""
    cluster = Deleted()
    EndedNodes(
        cluster=cluster,
        ec2=Interfaces(free_after=0),
        installation="demo",
        say=print,
        sleep=lambda _: None,
    ).apply()
    assert cluster.kinds == ["nodepools", "nodeclaims", "ec2nodeclasses"]


def test_a_class_that_no_karpenter_lets_go_is_said_and_keeps_nothing_else():
    """What it would have taken along is looked for at the end."""
    ec2, said = Interfaces(free_after=1), []

    class Stuck(Deleted):
        def delete_all(self, kind, **_):
            super().delete_all(kind)
            if kind == "ec2nodeclasses":
                raise ProgramFailed("timed out waiting for the condition")

    EndedNodes(
        cluster=Stuck(), ec2=ec2, installation="demo", say=said.append, sleep=lambda _: None
    ).apply()
    [line] = said
    assert "timed out" in line and "Is Karpenter running?" in line
    assert ec2.there == {"eni-system": "i-system"}


def test_interfaces_that_outlive_their_node_are_waited_for_and_deleted():
    """Terraform could not delete their subnet; the system node's go with that node."""
    ec2, slept = Interfaces(free_after=3), []
    EndedNodes(cluster=None, ec2=ec2, installation="demo", say=print, sleep=slept.append).apply()
    assert ec2.there == {"eni-system": "i-system"}
    assert len(slept) == 4


def test_an_interface_that_never_lets_go_is_named():
    """The wait has an end."""
    nodes = EndedNodes(
        cluster=None,
        ec2=Interfaces(free_after=99),
        installation="demo",
        say=print,
        wait_s=60,
        sleep=lambda seconds: None,
    )
    with pytest.raises(NotReady, match="still there after 60 s: eni-node"):
        nodes.apply()
