"""What a Terraform plan would make that costs something while it is idle."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

#: Of a VPC that Terraform makes.
_ZONES = 3


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Counts of what is paid by the hour or the month."""

    clusters: int
    nat_gateways: int
    public_addresses: int
    endpoint_zones: int
    #: Instance type -> how many run always.
    nodes: Mapping[str, int]
    node_disk_gb: int
    kms_keys: int
    secrets: int
    alarm_metrics: int
    dashboards: int
    #: Queues that KEDA and the Ray head look at.
    job_queues: int
    load_balancers: int = 0
    #: Public ones have an address in each of their zones.
    balancer_addresses: int = 0

    @classmethod
    def of_plan(cls, plan: Mapping[str, Any]) -> Self:
        """From `terraform show -json` of a plan."""
        resources = [
            resource
            for resource in plan["planned_values"]["root_module"]["resources"]
            if resource["mode"] == "managed"
        ]
        of_type: dict[str, list[dict[str, Any]]] = {}
        for resource in resources:
            # Without values: nothing of it is known before it is made.
            of_type.setdefault(resource["type"], []).append(resource.get("values", {}))

        def count(kind: str) -> int:
            return len(of_type.get(kind, []))

        nodes: dict[str, int] = {}
        for group in of_type.get("aws_eks_node_group", []):
            for kind in group["instance_types"]:
                nodes[kind] = nodes.get(kind, 0) + group["scaling_config"][0]["desired_size"]
        disks = [
            device["ebs"][0]["volume_size"]
            for template in of_type.get("aws_launch_template", [])
            for device in template["block_device_mappings"]
        ]
        interfaces = [
            endpoint
            for endpoint in of_type.get("aws_vpc_endpoint", [])
            if endpoint["vpc_endpoint_type"] == "Interface"
        ]
        return cls(
            clusters=count("aws_eks_cluster"),
            nat_gateways=count("aws_nat_gateway"),
            public_addresses=count("aws_eip"),
            # One address in each private subnet.
            endpoint_zones=len(interfaces) * count("aws_route_table_association") // 2,
            nodes=nodes,
            node_disk_gb=sum(disks) * sum(nodes.values()),
            kms_keys=count("aws_kms_key"),
            secrets=count("aws_secretsmanager_secret"),
            alarm_metrics=sum(
                _metrics(alarm) for alarm in of_type.get("aws_cloudwatch_metric_alarm", [])
            ),
            dashboards=count("aws_cloudwatch_dashboard"),
            job_queues=sum(
                resource["type"] == "aws_sns_topic_subscription" and resource["name"] == "jobs"
                for resource in resources
            ),
            load_balancers=count("aws_lb"),
            balancer_addresses=_balancer_addresses(of_type),
        )

    def exposed(self, mode: str) -> "Inventory":
        """The same with a load balancer as `deploy --expose` makes it."""
        if mode == "none":
            return self
        addresses = _ZONES if mode == "public" else 0
        # The page's password.
        return replace(
            self, load_balancers=1, balancer_addresses=addresses, secrets=self.secrets + 1
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As `encode` wrote it."""
        return cls(**json.loads(text))

    def encode(self) -> str:
        """For a file that a test compares with a plan."""
        return json.dumps(asdict(self), indent=2) + "\n"


def _balancer_addresses(of_type: Mapping[str, list[dict[str, Any]]]) -> int:
    """One in each subnet; where these are not known yet, they are the public half of our own."""
    return sum(
        len(balancer.get("subnets") or ()) or len(of_type.get("aws_subnet", [])) // 2
        for balancer in of_type.get("aws_lb", [])
        if not balancer["internal"]
    )


def _metrics(alarm: Mapping[str, Any]) -> int:
    """An alarm is paid by the metrics that it looks at."""
    return sum(bool(query.get("metric")) for query in alarm.get("metric_query") or ()) or 1
