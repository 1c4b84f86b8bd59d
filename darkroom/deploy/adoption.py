"""What a Terraform that was killed had made and not yet written down: found, and taken over.

Terraform writes its state every 20 seconds while it applies. What it made since then has a name
that is taken now, so that the next apply would fail; with an `import` block it takes it over.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.errors import ProgramFailed
from records.errors import translated

#: Resource type -> how Terraform wants such a thing named in an import. What is not here has no
#: name that could be taken: it can be made a second time, and `destroy` finds the first by tag.
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
#: Its id in an import ends in six characters that only AWS knows.
_WITH_ARN = "aws_secretsmanager_secret"


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """What is to be taken over into the state: address -> id."""

    ids: Mapping[str, str]

    @classmethod
    def of(cls, addresses: Sequence[str], plan: Mapping[str, Any], secrets: Any) -> "Adoption":
        """By the values that the plan gives them; `ProgramFailed` names what has no name."""
        values = {
            each["address"]: (each["type"], each.get("values", {}))
            for each in plan["planned_values"]["root_module"]["resources"]
        }
        return cls(ids=dict(_named(addresses, values, secrets)))

    def blocks(self) -> str:
        """Terraform's configuration that imports them, as JSON."""
        imports = [{"to": address, "id": known} for address, known in self.ids.items()]
        return json.dumps({"import": imports}, indent=2) + "\n"


def _named(
    addresses: Sequence[str], values: Mapping[str, tuple[str, Mapping[str, Any]]], secrets: Any
) -> Iterator[tuple[str, str]]:
    for address in addresses:
        kind, given = values.get(address, ("", {}))
        if kind == _WITH_ARN:
            with translated(f"Secrets Manager, {given['name']}"):
                yield address, secrets.describe_secret(SecretId=given["name"])["ARN"]
            continue
        try:
            yield address, IMPORT_IDS[kind].format_map(given)
        except KeyError as missing:
            raise ProgramFailed(
                f"{address} is there, and the state does not know it; it cannot be taken over by "
                f"itself ({missing}). Delete it in the AWS console, then run this again"
            ) from missing
