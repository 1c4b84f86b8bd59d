"""Steps that take a running installation away, in the order that orphans nothing.

A queue keeps what nobody will do; a RayService makes its pods anew; Karpenter alone knows how to
end its nodes; and Terraform knows nothing of what came later. So: intake, scaling, work, nodes,
operators, Terraform, and then whatever still carries the name.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.cluster import BY_REMOVAL, PAUSED, Cluster
from darkroom.deploy.errors import NotReady, ProgramFailed
from darkroom.deploy.step import Standing
from darkroom.names import NAMESPACE
from records.errors import ObjectMissing, translated

_LOOK_S = 10
_GONE = frozenset({"ResourceNotFoundException", "NotFound"})
#: Of the jobs topic's policy: Terraform has no such statement, and takes it away again.
_CLOSED = "ClosedByRemoval"
#: In this order: what makes others goes first.
_WORK = ("scaledobjects", "rayjobs", "rayservices", "rayclusters", "services")
#: Of EC2, what one of Karpenter's nodes may leave.
_NODE_TAG = "karpenter.sh/nodepool"
_INTERFACE_GONE = frozenset({"InvalidNetworkInterfaceID.NotFound", "InvalidNetworkInterface.InUse"})


def half_way(command: str) -> str:
    """How to go on with a removal that stopped, and how not to."""
    return (
        f"{command}\nTo keep it instead: `darkroom deploy` with its --name and --region. "
        "From its first changes on, until either, it takes no job and KEDA is paused"
    )


class _Removal:
    """What all of these have in common: there is nothing to make."""

    takes = "seconds"

    def check(self) -> Standing:
        """Never done: to look takes as long as to do."""
        return Standing(done=False)

    def undo(self) -> None:
        """A removal is not taken back; `darkroom deploy` makes everything again."""


@dataclass(frozen=True, kw_only=True)
class StoppedIntake(_Removal):
    """No new job: the API's Lambda may not run, the topic takes none, KEDA stays where it is."""

    functions: Any
    sns: Any
    installation: str
    #: ARN of the jobs topic, to which clients may publish without the API.
    topic: str
    #: ARN of the role that publishes accepted jobs once more: they are drained with the others.
    sweeper: str
    #: None: there is no cluster.
    cluster: Cluster | None

    name = "stop intake, pause scaling"

    def apply(self) -> None:
        """What is at work goes on: KEDA keeps the bridges that there are."""
        try:
            with translated("Lambda PutFunctionConcurrency", missing=_GONE):
                self.functions.put_function_concurrency(
                    FunctionName=f"{self.installation}-api", ReservedConcurrentExecutions=0
                )
        except ObjectMissing:
            pass  # the API is gone already
        try:
            with translated("SNS, the policy of the jobs topic", missing=_GONE):
                self._close_topic()
        except ObjectMissing:
            pass  # the topic is gone already
        if self.cluster is not None:
            self._pause(self.cluster)

    def _close_topic(self) -> None:
        told = self.sns.get_topic_attributes(TopicArn=self.topic)["Attributes"]
        policy = json.loads(told["Policy"])
        open_to = [each for each in policy["Statement"] if each.get("Sid") != _CLOSED]
        closed = {
            "Sid": _CLOSED,
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Publish",
            "Resource": self.topic,
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": self.sweeper}},
        }
        self.sns.set_topic_attributes(
            TopicArn=self.topic,
            AttributeName="Policy",
            AttributeValue=json.dumps(policy | {"Statement": [*open_to, closed]}),
        )

    def _pause(self, cluster: Cluster) -> None:
        scaling = [
            each["metadata"]["name"]
            for each in cluster.items("scaledobjects", namespace=NAMESPACE)
            if PAUSED not in each["metadata"].get("annotations", {})
        ]
        if scaling:
            cluster.kubectl(
                "annotate", "scaledobjects", *scaling, "-n", NAMESPACE, "--overwrite",
                f"{PAUSED}=true", f"{BY_REMOVAL}=true",
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EndedWork(_Removal):
    """Everything of ours that makes pods."""

    cluster: Cluster | None

    name = "delete RayServices, RayJobs, bridges and Services"
    takes = "up to 15 minutes: workers end what they have"

    def apply(self) -> None:
        """One kind after the other, each until it is gone."""
        if self.cluster is None:
            return
        for kind in _WORK:
            self.cluster.delete_all(kind, namespace=NAMESPACE)
        self.cluster.delete_all("deployments,cronjobs,jobs", namespace=NAMESPACE)


@dataclass(frozen=True, kw_only=True)
class EndedNodes(_Removal):
    """Karpenter ends its nodes while it is still there."""

    cluster: Cluster | None
    ec2: Any
    installation: str
    say: Callable[[str], None]
    wait_s: float = 1200
    sleep: Callable[[float], None] = time.sleep

    name = "delete NodePools and EC2NodeClasses, and wait for the last node"
    takes = "2 to 10 minutes"

    def apply(self) -> None:
        """Until no NodeClaim, no instance and no network interface of a node is left."""
        if self.cluster is not None:
            self.cluster.delete_all("nodepools")
            self.cluster.delete_all("nodeclaims")
            # With a class go the launch templates and instance profiles of its nodes: Karpenter
            # deletes them, and once it is gone nobody does.
            self._end_classes(self.cluster)
        self._await_nodes()

    def _end_classes(self, cluster: Cluster) -> None:
        try:
            cluster.delete_all("ec2nodeclasses", wait_s=300)
        except ProgramFailed as failed:
            # Only a Karpenter that works lets them go. What it would take along is looked for
            # later, too, so nothing is lost if it does not.
            self.say(f"EC2NodeClasses stay: {failed}. Is Karpenter running? The removal goes on")

    def _await_nodes(self) -> None:
        waited = 0.0
        while left := self.left():
            if waited >= self.wait_s:
                raise NotReady(
                    f"still there after {self.wait_s:g} s: {', '.join(left)}. Karpenter's log says "
                    "what holds them; Terraform could not delete their subnets"
                )
            self.sleep(_LOOK_S)
            waited += _LOOK_S

    def left(self) -> list[str]:
        """Instances of Karpenter, and interfaces that outlive them."""
        owned = {"Name": f"tag:kubernetes.io/cluster/{self.installation}", "Values": ["owned"]}
        node = {"Name": "tag-key", "Values": [_NODE_TAG]}
        pods = {"Name": "tag:cluster.k8s.amazonaws.com/name", "Values": [self.installation]}
        with translated("EC2, what nodes leave"):
            found = self.ec2.describe_instances(Filters=[owned, node])["Reservations"]
            interfaces = self.ec2.describe_network_interfaces(Filters=[pods])["NetworkInterfaces"]
        # One that has ended is listed for an hour: its interfaces may still be on their way.
        nodes = {
            each["InstanceId"]: each["State"]["Name"] for r in found for each in r["Instances"]
        }
        strays = [
            each["NetworkInterfaceId"]
            for each in interfaces
            if each["Status"] != "in-use" or each.get("Attachment", {}).get("InstanceId") in nodes
        ]
        for each in interfaces:
            if each["Status"] == "available":
                self._delete(each["NetworkInterfaceId"])
        return [*(name for name, state in nodes.items() if state != "terminated"), *strays]

    def _delete(self, interface: str) -> None:
        """The CNI's, of a node that is gone: nobody else deletes it."""
        try:
            with translated("EC2 DeleteNetworkInterface", missing=_INTERFACE_GONE):
                self.ec2.delete_network_interface(NetworkInterfaceId=interface)
        except ObjectMissing:
            pass  # in between; the next look tells
