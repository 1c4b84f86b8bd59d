"""What a Terraform that was killed had made and not yet written down: found, and taken over.

Terraform writes its state every 20 seconds while it applies. What it made since then has a name
that is taken now, so that the next apply would fail; with an `import` block it takes it over.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.errors import ProgramFailed
from records.errors import translated

Connect = Callable[[str], Any]
#: Resource type -> how Terraform wants such a thing named in an import. What is not here has no
#: name that could be taken: it can be made a second time, and `strays` finds the first by tag.
IMPORT_IDS: Mapping[str, str] = {
    "aws_cloudformation_stack": "{name}",
    "aws_cloudwatch_event_rule": "{name}",
    "aws_cloudwatch_log_group": "{name}",
    "aws_dynamodb_table": "{name}",
    "aws_ecr_repository": "{name}",
    "aws_eks_access_entry": "{cluster_name}:{principal_arn}",
    "aws_eks_addon": "{cluster_name}:{addon_name}",
    "aws_eks_cluster": "{name}",
    "aws_eks_node_group": "{cluster_name}:{node_group_name}",
    "aws_iam_instance_profile": "{name}",
    "aws_iam_role": "{name}",
    "aws_kms_alias": "{name}",
    "aws_lambda_function": "{function_name}",
    "aws_lambda_permission": "{function_name}/{statement_id}",
    "aws_s3_bucket": "{bucket}",
}


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """What is to be taken over into the state: address -> id."""

    ids: Mapping[str, str]

    @classmethod
    def of(cls, addresses: Sequence[str], plan: Mapping[str, Any], connect: Connect) -> "Adoption":
        """By the values that the plan gives them; `ProgramFailed` names what has no name."""
        values = {
            each["address"]: (each["type"], each.get("values", {}))
            for each in plan["planned_values"]["root_module"]["resources"]
        }
        return cls(ids=dict(_named(addresses, values, connect)))

    def blocks(self) -> str:
        """Terraform's configuration that imports them, as JSON."""
        imports = [{"to": address, "id": known} for address, known in self.ids.items()]
        return json.dumps({"import": imports}, indent=2) + "\n"


def _secret(connect: Connect, given: Mapping[str, Any]) -> str:
    """Its ARN ends in six characters that only AWS knows."""
    name = given["name"]
    with translated(f"Secrets Manager, {name}"):
        return str(connect("secretsmanager").describe_secret(SecretId=name)["ARN"])


def _association(connect: Connect, given: Mapping[str, Any]) -> str:
    """By the id that EKS gave it; a service account has one at most."""
    cluster, account = given["cluster_name"], given["service_account"]
    with translated(f"EKS, the association of {account}"):
        [found] = connect("eks").list_pod_identity_associations(
            clusterName=cluster, namespace=given["namespace"], serviceAccount=account
        )["associations"]
    return f"{cluster},{found['associationId']}"


#: Resource type -> who asks AWS for the id that nobody else knows.
_ASKED: Mapping[str, Callable[[Connect, Mapping[str, Any]], str]] = {
    "aws_eks_pod_identity_association": _association,
    "aws_secretsmanager_secret": _secret,
}


def _named(
    addresses: Sequence[str], values: Mapping[str, tuple[str, Mapping[str, Any]]], connect: Connect
) -> Iterator[tuple[str, str]]:
    for address in addresses:
        kind, given = values.get(address, ("", {}))
        if kind in _ASKED:
            yield address, _ASKED[kind](connect, given)
            continue
        try:
            yield address, IMPORT_IDS[kind].format_map(given)
        except KeyError as missing:
            raise ProgramFailed(
                f"{address} is there, and the state does not know it; it cannot be taken over by "
                f"itself ({missing}). Delete it in the AWS console, then run this again"
            ) from missing
