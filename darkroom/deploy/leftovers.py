"""What others made late, and what still carries the name at the end."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.inbox import inboxes
from darkroom.deploy.ownership import FUNCTIONS, Names
from darkroom.deploy.snapshots import delete, listed
from darkroom.deploy.step import Standing
from records.errors import RecordsError, translated

#: Service -> (operation, the list in its answer, the item's name): of what a name shows whose it
#: is. `None`: the item is its name.
_LISTINGS: tuple[tuple[str, str, str, str | None], ...] = (
    ("s3", "list_buckets", "Buckets", "Name"),
    ("sqs", "list_queues", "QueueUrls", None),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("dynamodb", "list_tables", "TableNames", None),
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("apigateway", "get_rest_apis", "items", "name"),
    ("secretsmanager", "list_secrets", "SecretList", "Name"),
    ("eks", "list_clusters", "clusters", None),
    ("ecr", "describe_repositories", "repositories", "repositoryName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("events", "list_rules", "Rules", "Name"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
    ("cloudformation", "list_stacks", "StackSummaries", "StackName"),
)
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
    for service, operation, items, name in _LISTINGS:
        try:
            for each in _pages(connect(service), operation, items):
                called = str(each[name] if name else each)
                if names.owns(service, called) and not _is_past(each):
                    found.append(f"{service}: {called}")
        except RecordsError as error:
            silent.append(f"{service}: {error}")
    try:
        named = {each.partition(": ")[2].rpartition(":")[2] for each in found}
        for arn in _tagged(connect("resourcegroupstaggingapi"), names.installation):
            if arn.rpartition(":")[2] not in named:
                found.append(f"tag: {arn}{_end_of(connect, arn)}")
    except RecordsError as error:
        silent.append(f"tags: {error}")
    return list(dict.fromkeys(found)), silent


def _end_of(connect: Callable[[str], Any], arn: str) -> str:
    """When it goes by itself: AWS keeps a key for a week, so that a deletion can be taken back."""
    if ":instance/" in arn:
        return _instance_end(connect("ec2"), arn.rpartition("/")[2])
    if ":kms:" not in arn:
        return ""
    with translated("KMS DescribeKey"):
        key = connect("kms").describe_key(KeyId=arn)["KeyMetadata"]
    at = key.get("DeletionDate")
    return f" (costs nothing, goes by itself on {at:%Y-%m-%d})" if at else ""


def _instance_end(ec2: Any, instance: str) -> str:
    """A node that has ended is listed for an hour, and its tags with it."""
    wanted = [{"Name": "instance-id", "Values": [instance]}]
    with translated("EC2 DescribeInstances"):
        found = ec2.describe_instances(Filters=wanted)["Reservations"]
    states = {each["State"]["Name"] for r in found for each in r["Instances"]}
    return "" if states - {"terminated"} else " (ended, costs nothing, goes within an hour)"


def _is_past(each: Any) -> bool:
    # CloudFormation goes on listing what is deleted.
    return isinstance(each, dict) and each.get("StackStatus") == "DELETE_COMPLETE"


def _pages(client: Any, operation: str, items: str) -> Iterator[Any]:
    with translated(operation):
        if client.can_paginate(operation):
            for page in client.get_paginator(operation).paginate():
                yield from page.get(items, ())
        else:
            yield from getattr(client, operation)().get(items, ())


def _tagged(tagging: Any, installation: str) -> Sequence[str]:
    wanted = [{"Key": INSTALLATION_TAG, "Values": [installation]}]
    with translated("GetResources"):
        pages = tagging.get_paginator("get_resources").paginate(TagFilters=wanted)
        return [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
