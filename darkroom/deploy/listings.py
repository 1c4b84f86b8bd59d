"""What AWS lists by name: the services that can hold something of an installation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from records.errors import translated


@dataclass(frozen=True)
class Listing:
    """An operation of a service, the list in its answer, and where each item has its name."""

    service: str
    operation: str
    items: str
    #: Keys, one within the other; none: the item is its name.
    name: tuple[str, ...] = ()
    #: Whether it wants to be told whose account it is about.
    of_account: bool = False

    def __str__(self) -> str:
        return f"{self.service} {self.operation}"

    def found(self, connect: Callable[[str], Any], account: str) -> Iterator[Any]:
        """All items of all pages, but those that are listed although they are deleted."""
        client = connect(self.service)
        given = {"AccountId": account} if self.of_account else {}
        with translated(self.operation):
            if client.can_paginate(self.operation):
                pages = client.get_paginator(self.operation).paginate(**given)
            else:
                pages = [getattr(client, self.operation)(**given)]
            for page in pages:
                yield from (each for each in page.get(self.items, ()) if not _is_past(each))

    def named(self, item: Any) -> str:
        """The name of one of them."""
        for key in self.name:
            item = item[key]
        return str(item)


LISTINGS = (
    Listing("s3", "list_buckets", "Buckets", ("Name",)),
    Listing("sqs", "list_queues", "QueueUrls"),
    Listing("sns", "list_topics", "Topics", ("TopicArn",)),
    Listing("dynamodb", "list_tables", "TableNames"),
    Listing("lambda", "list_functions", "Functions", ("FunctionName",)),
    Listing("apigateway", "get_rest_apis", "items", ("name",)),
    Listing("apigateway", "get_usage_plans", "items", ("name",)),
    Listing("apigateway", "get_api_keys", "items", ("name",)),
    Listing("secretsmanager", "list_secrets", "SecretList", ("Name",)),
    Listing("eks", "list_clusters", "clusters"),
    Listing("ecr", "describe_repositories", "repositories", ("repositoryName",)),
    Listing("logs", "describe_log_groups", "logGroups", ("logGroupName",)),
    Listing("cloudwatch", "describe_alarms", "MetricAlarms", ("AlarmName",)),
    Listing("cloudwatch", "list_dashboards", "DashboardEntries", ("DashboardName",)),
    Listing("budgets", "describe_budgets", "Budgets", ("BudgetName",), of_account=True),
    Listing("xray", "get_groups", "Groups", ("GroupName",)),
    Listing("xray", "get_sampling_rules", "SamplingRuleRecords", ("SamplingRule", "RuleName")),
    Listing("xray", "list_resource_policies", "ResourcePolicies", ("PolicyName",)),
    Listing("kms", "list_aliases", "Aliases", ("AliasName",)),
    Listing("events", "list_rules", "Rules", ("Name",)),
    Listing("iam", "list_roles", "Roles", ("RoleName",)),
    Listing("iam", "list_instance_profiles", "InstanceProfiles", ("InstanceProfileName",)),
    Listing("elbv2", "describe_load_balancers", "LoadBalancers", ("LoadBalancerName",)),
    Listing("elbv2", "describe_target_groups", "TargetGroups", ("TargetGroupName",)),
    Listing("cloudformation", "list_stacks", "StackSummaries", ("StackName",)),
)


def _is_past(item: Any) -> bool:
    # CloudFormation goes on listing what is deleted.
    return isinstance(item, dict) and item.get("StackStatus") == "DELETE_COMPLETE"
