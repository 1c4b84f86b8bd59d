"""What the emulated account holds of an installation, by its own listings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Listing:
    """An operation of a service, and the list in its answer."""

    service: str
    operation: str
    items: str
    arguments: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.service} {self.operation}"

    def of(self, connect: Callable[[str], Any], name: str) -> list[Any]:
        """What it lists that has the name somewhere."""
        answer = getattr(connect(self.service), self.operation)(**self.arguments)
        return [item for item in answer.get(self.items, []) if name in str(item)]


LISTINGS = (
    Listing("acm", "list_certificates", "CertificateSummaryList"),
    Listing("apigateway", "get_api_keys", "items"),
    Listing("apigateway", "get_rest_apis", "items"),
    Listing("apigateway", "get_usage_plans", "items"),
    Listing("budgets", "describe_budgets", "Budgets", {"AccountId": "000000000000"}),
    Listing("cloudformation", "describe_stacks", "Stacks"),
    Listing("cloudwatch", "describe_alarms", "MetricAlarms"),
    Listing("cloudwatch", "list_dashboards", "DashboardEntries"),
    Listing("dynamodb", "list_tables", "TableNames"),
    Listing("ec2", "describe_launch_templates", "LaunchTemplates"),
    Listing("ec2", "describe_security_groups", "SecurityGroups"),
    Listing("ec2", "describe_subnets", "Subnets"),
    Listing("ec2", "describe_vpc_endpoints", "VpcEndpoints"),
    Listing("ecr", "describe_repositories", "repositories"),
    Listing("eks", "list_clusters", "clusters"),
    Listing("elbv2", "describe_load_balancers", "LoadBalancers"),
    Listing("elbv2", "describe_target_groups", "TargetGroups"),
    Listing("events", "list_rules", "Rules"),
    Listing("iam", "list_instance_profiles", "InstanceProfiles"),
    Listing("iam", "list_roles", "Roles"),
    Listing("kms", "list_aliases", "Aliases"),
    Listing("lambda", "list_functions", "Functions"),
    Listing("logs", "describe_log_groups", "logGroups"),
    Listing("secretsmanager", "list_secrets", "SecretList"),
    Listing("sns", "list_subscriptions", "Subscriptions"),
    Listing("sns", "list_topics", "Topics"),
    Listing("sqs", "list_queues", "QueueUrls"),
)
