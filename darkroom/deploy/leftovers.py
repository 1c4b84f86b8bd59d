"""What others made late, and what still carries the name at the end."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.inbox import inboxes
from darkroom.deploy.listings import LISTINGS
from darkroom.deploy.ownership import FUNCTIONS, Names
from darkroom.deploy.snapshots import delete, listed
from darkroom.deploy.step import Standing
from records.errors import RecordsError, translated

INSTALLATION_TAG = "darkroom:installation"
#: Of Karpenter's launch templates: whose, and that they are Karpenter's.
_CLUSTER_TAG, _CLASS_TAG = "eks:eks-cluster-name", "karpenter.k8s.aws/ec2nodeclass"


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """Logs, snapshots, what Karpenter leaves, smoke tests' queues: by name and tag."""

    connect: Callable[[str], Any]
    installation: str
    say: Callable[[str], None]

    name = "what others made late"
    takes = "seconds"

    def check(self) -> Standing:
        """Never done: it is the look itself that counts."""
        return Standing(done=False)

    def apply(self) -> None:
        """Delete what is known to come late; what cannot be found or deleted is said, not fatal."""
        looks = {
            "log groups": self._logs,
            "snapshots": self._snapshots,
            "launch templates": self._templates,
            "instance profiles": self._profiles,
            "queues of smoke tests": self._inboxes,
        }
        for kind, look in looks.items():
            try:
                found = list(look())
            except RecordsError as error:
                self.say(f"could not look for {kind}: {error}")
                continue
            for what, remove in found:
                self._remove(what, remove)

    def _remove(self, what: str, remove: Callable[[], object]) -> None:
        try:
            remove()
            self.say(f"deleted {what}")
        except RecordsError as error:
            self.say(f"could not delete {what}: {error}")

    def undo(self) -> None:
        """A removal is not taken back."""

    def _logs(self) -> Iterator[tuple[str, Callable[[], object]]]:
        logs = self.connect("logs")
        # Lambda's last line, and EKS's, may come after Terraform has deleted their groups. Whole
        # names and folders only: `darkroom-dev` begins like `darkroom`, and is another one.
        for prefix in (
            *(f"/aws/lambda/{self.installation}-{function}" for function in FUNCTIONS),
            f"/aws/eks/{self.installation}/",
            f"/aws/containerinsights/{self.installation}/",
        ):
            with translated("CloudWatch Logs DescribeLogGroups"):
                found = logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
            for group in found:
                name = group["logGroupName"]
                if not (prefix.endswith("/") or name == prefix):
                    continue
                yield f"log group {name}", _deleting(logs.delete_log_group, logGroupName=name)

    def _snapshots(self) -> Iterator[tuple[str, Callable[[], object]]]:
        ec2 = self.connect("ec2")
        for snapshot in listed(ec2, self.installation):
            yield f"snapshot {snapshot.id}", functools.partial(delete, ec2, [snapshot])

    def _templates(self) -> Iterator[tuple[str, Callable[[], object]]]:
        ec2 = self.connect("ec2")
        wanted = [
            {"Name": f"tag:{_CLUSTER_TAG}", "Values": [self.installation]},
            {"Name": "tag-key", "Values": [_CLASS_TAG]},
        ]
        with translated("EC2 DescribeLaunchTemplates"):
            pages = ec2.get_paginator("describe_launch_templates").paginate(Filters=wanted)
            found = [each for page in pages for each in page["LaunchTemplates"]]
        for template in found:
            name, key = template["LaunchTemplateName"], template["LaunchTemplateId"]
            yield (
                f"launch template {name}",
                _deleting(ec2.delete_launch_template, LaunchTemplateId=key),
            )

    def _profiles(self) -> Iterator[tuple[str, Callable[[], object]]]:
        iam = self.connect("iam")
        with translated("IAM ListInstanceProfiles"):
            pages = iam.get_paginator("list_instance_profiles").paginate()
            found = [each for page in pages for each in page["InstanceProfiles"]]
        for profile in found:
            name = profile["InstanceProfileName"]
            # Karpenter's begin with the cluster's name and end in a hash.
            if not name.startswith(f"{self.installation}_"):
                continue
            roles = [role["RoleName"] for role in profile["Roles"]]
            yield f"instance profile {name}", functools.partial(_end_profile, iam, name, roles)

    def _inboxes(self) -> Iterator[tuple[str, Callable[[], object]]]:
        sqs = self.connect("sqs")
        for url in inboxes(sqs, self.installation):
            yield f"queue {url}", _deleting(sqs.delete_queue, QueueUrl=url)


def _end_profile(iam: Any, name: str, roles: Sequence[str]) -> None:
    with translated("IAM, an instance profile"):
        for role in roles:
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
        iam.delete_instance_profile(InstanceProfileName=name)


def _deleting(call: Callable[..., object], **named: str) -> Callable[[], object]:
    def deleted() -> object:
        with translated("AWS"):
            return call(**named)

    return deleted


def carrying(connect: Callable[[str], Any], names: Names) -> tuple[list[str], list[str]]:
    """(what in the account is still of the installation, which services could not be asked)."""
    found, silent = [], []
    for listing in LISTINGS:
        try:
            for called in map(listing.named, listing.found(connect, names.account)):
                if names.owns(listing.service, called):
                    found.append(f"{listing.service}: {called}")
        except RecordsError as error:
            silent.append(f"{listing.service}: {error}")
    try:
        named = {each.partition(": ")[2].rpartition(":")[2] for each in found}
        for arn in tagged(connect("resourcegroupstaggingapi"), names.installation):
            if arn.rpartition(":")[2] not in named and not _has_ended(connect, arn):
                found.append(f"tag: {arn}{_end_of(connect, arn)}")
    except RecordsError as error:
        silent.append(f"tags: {error}")
    return list(dict.fromkeys(found)), silent


def _has_ended(connect: Callable[[str], Any], arn: str) -> bool:
    """EC2 lists some things, and their tags, for an hour after their end."""
    kind, _, key = arn.rpartition(":")[2].partition("/")
    if kind not in ("instance", "natgateway", "vpc-endpoint"):
        return False
    ec2 = connect("ec2")
    with translated(f"EC2, whether {key} is still there"):
        if kind == "instance":
            found = ec2.describe_instances(Filters=_only("instance-id", key))["Reservations"]
            states = {each["State"]["Name"] for r in found for each in r["Instances"]}
        elif kind == "natgateway":
            found = ec2.describe_nat_gateways(Filter=_only("nat-gateway-id", key))
            states = {each["State"] for each in found["NatGateways"]}
        else:
            found = ec2.describe_vpc_endpoints(Filters=_only("vpc-endpoint-id", key))
            states = {each["State"].lower() for each in found["VpcEndpoints"]}
    return states <= {"terminated", "deleted"}


def _only(name: str, value: str) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]}]


def _end_of(connect: Callable[[str], Any], arn: str) -> str:
    """When it goes by itself: AWS keeps a key for a week, so that a deletion can be taken back."""
    if ":kms:" not in arn:
        return ""
    with translated("KMS DescribeKey"):
        key = connect("kms").describe_key(KeyId=arn)["KeyMetadata"]
    at = key.get("DeletionDate")
    return f" (costs nothing, goes by itself on {at:%Y-%m-%d})" if at else ""


def tagged(tagging: Any, installation: str) -> Sequence[str]:
    """ARNs of all that carries the installation's tag."""
    wanted = [{"Key": INSTALLATION_TAG, "Values": [installation]}]
    with translated("GetResources"):
        pages = tagging.get_paginator("get_resources").paginate(TagFilters=wanted)
        return [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
