"""What is left after `terraform destroy`: nothing, by the emulator's own listings."""

import pytest

#: service -> (operation, the list in its answer); each list holds what belongs to the account.
LISTINGS = {
    "sqs": ("list_queues", "QueueUrls"),
    "sns": ("list_topics", "Topics"),
    "dynamodb": ("list_tables", "TableNames"),
    "lambda": ("list_functions", "Functions"),
    "apigateway": ("get_rest_apis", "items"),
    "secretsmanager": ("list_secrets", "SecretList"),
    "eks": ("list_clusters", "clusters"),
    "ecr": ("describe_repositories", "repositories"),
    "logs": ("describe_log_groups", "logGroups"),
    "cloudwatch": ("describe_alarms", "MetricAlarms"),
    "events": ("list_rules", "Rules"),
    "iam": ("list_roles", "Roles"),
}


@pytest.mark.parametrize("service", LISTINGS)
def test_nothing_is_left_of_a_destroyed_stack(destroyed, service):
    """Nothing that goes on costing money."""
    operation, items = LISTINGS[service]
    answer = getattr(destroyed.emulator.client(service), operation)()
    left = [item for item in answer.get(items, []) if "demo" in str(item)]
    assert left == []


def test_no_bucket_and_no_vpc_is_left(destroyed):
    """The bucket with the state is ours; the default VPC is the account's."""
    buckets = destroyed.emulator.client("s3").list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == ["state"]
    ec2 = destroyed.emulator.client("ec2")
    assert [vpc["IsDefault"] for vpc in ec2.describe_vpcs()["Vpcs"]] in ([True], [])
    assert [n for n in ec2.describe_nat_gateways()["NatGateways"] if n["State"] != "deleted"] == []
    assert ec2.describe_addresses()["Addresses"] == []
    assert destroyed.terraform.state()["resources"] == []
