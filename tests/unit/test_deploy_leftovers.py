"""What others made late is deleted; the last list says what goes by itself, and what does not."""

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from darkroom.deploy.inbox import inbox_prefix
from darkroom.deploy.leftovers import Leftovers, carrying
from darkroom.deploy.ownership import Names

NAMES = Names(installation="demo", account="123456789012", region="us-west-2", runtimes=())
EC2 = "arn:aws:ec2:us-west-2:123456789012:"


class Account:
    """Every service at once: one tagged thing, as EC2 describes it, and nothing else."""

    def __init__(self, arn, described):
        self.arn = arn
        self.described = described

    def can_paginate(self, operation):
        """Only tags come in pages."""
        return False

    def get_paginator(self, operation):
        """Of what is tagged."""
        return self

    def paginate(self, TagFilters):  # noqa: N803
        """One page."""
        return [{"ResourceTagMappingList": [{"ResourceARN": self.arn}]}]

    def __getattr__(self, operation):
        return lambda **_: self.described if operation.startswith("describe_") else {}


def instance(state):
    """As EC2 describes it."""
    return {"Reservations": [{"Instances": [{"State": {"Name": state}}]}]}


@pytest.mark.parametrize(
    ("what", "described", "there"),
    [
        ("instance/i-1", instance("running"), True),
        ("instance/i-1", instance("shutting-down"), True),
        ("instance/i-1", instance("terminated"), False),
        ("instance/i-1", {"Reservations": []}, False),
        ("natgateway/nat-1", {"NatGateways": [{"State": "deleting"}]}, True),
        ("natgateway/nat-1", {"NatGateways": [{"State": "deleted"}]}, False),
        ("vpc-endpoint/vpce-1", {"VpcEndpoints": [{"State": "available"}]}, True),
        ("vpc-endpoint/vpce-1", {"VpcEndpoints": [{"State": "Deleted"}]}, False),
        ("launch-template/lt-1", {}, True),
    ],
)
def test_what_has_ended_is_not_left(what, described, there):
    """Its tag is found for an hour more, and after EC2 has forgotten it."""
    left, silent = carrying(lambda service: Account(EC2 + what, described), NAMES)
    assert (left, silent) == ([f"tag: {EC2}{what}"] if there else [], [])


def test_what_has_no_tag_or_costs_money_without_is_found_by_its_name():
    """Each of these stays when a Terraform is killed, and no tag tells of it."""
    with mock_aws():

        def connect(service):
            return boto3.client(service, region_name="us-west-2")

        for name in ("demo", "demo-dev"):
            connect("budgets").create_budget(
                AccountId=NAMES.account,
                Budget={
                    "BudgetName": name,
                    "BudgetLimit": {"Amount": "1", "Unit": "USD"},
                    "TimeUnit": "MONTHLY",
                    "BudgetType": "COST",
                },
            )
            connect("cloudwatch").put_dashboard(DashboardName=name, DashboardBody='{"widgets": []}')
            connect("apigateway").create_usage_plan(name=f"{name}-standard")
            connect("apigateway").create_api_key(name=f"{name}-standard")
            key = connect("kms").create_key()["KeyMetadata"]["KeyId"]
            connect("kms").create_alias(AliasName=f"alias/{name}-messaging", TargetKeyId=key)
        found, _ = carrying(connect, NAMES)
    assert found == [
        "apigateway: demo-standard",
        "cloudwatch: demo",
        "budgets: demo",
        "kms: alias/demo-messaging",
    ]


@pytest.fixture
def connect():
    """An account in memory."""
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="us-west-2")


def leftovers(connect, said):
    return Leftovers(connect=connect, installation="demo", say=said.append)


def test_the_queue_of_a_smoke_test_that_was_killed_goes(connect):
    """It is the only thing of its own that a killed test leaves."""
    sqs, said = connect("sqs"), []
    sqs.create_queue(QueueName=inbox_prefix("demo") + "0a1b2c3d")
    sqs.create_queue(QueueName="demo-jobs")
    leftovers(connect, said).apply()
    assert [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]] == ["demo-jobs"]
    assert any("smoke-test" in text for text in said)


def test_launch_templates_that_karpenter_left_go_and_those_of_others_stay(connect):
    """By Karpenter's own tags; the node group's has neither, and Terraform deletes it."""
    ec2, said = connect("ec2"), []
    karpenter = {"karpenter.k8s.aws/ec2nodeclass": "gpu"}
    for name, tags in {
        "karpenter/1": karpenter | {"eks:eks-cluster-name": "demo"},
        "karpenter/2": karpenter | {"eks:eks-cluster-name": "demo-2"},
        "demo-system": {"darkroom:installation": "demo"},
    }.items():
        given = [{"Key": key, "Value": value} for key, value in tags.items()]
        ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"InstanceType": "g5.xlarge"},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": given}],
        )
    leftovers(connect, said).apply()
    left = ec2.describe_launch_templates()["LaunchTemplates"]
    assert sorted(each["LaunchTemplateName"] for each in left) == ["demo-system", "karpenter/2"]
    assert said == ["deleted launch template karpenter/1"]


def test_what_cannot_be_looked_for_keeps_nothing_else_from_being_removed(connect, monkeypatch):
    """It is said; the last list names what is left of it."""
    logs, sqs, said = connect("logs"), connect("sqs"), []
    sqs.create_queue(QueueName=inbox_prefix("demo") + "0a1b2c3d")

    def denied(**_):
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "DescribeLogGroups")

    monkeypatch.setattr(logs, "describe_log_groups", denied)
    services = {"logs": logs}
    leftovers(lambda service: services.get(service) or connect(service), said).apply()
    assert said[0].startswith("could not look for log groups: ")
    assert sqs.list_queues().get("QueueUrls", []) == []


def test_a_profile_whose_role_stays_keeps_nothing_else_from_being_removed(connect, monkeypatch):
    """It is said, and the rest goes on."""
    iam, sqs, said = connect("iam"), connect("sqs"), []
    iam.create_role(RoleName="demo-node", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="demo_123")
    iam.add_role_to_instance_profile(InstanceProfileName="demo_123", RoleName="demo-node")
    sqs.create_queue(QueueName=inbox_prefix("demo") + "0a1b2c3d")

    def denied(**_):
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "RemoveRoleFromInstanceProfile")

    monkeypatch.setattr(iam, "remove_role_from_instance_profile", denied)
    services = {"iam": iam}
    leftovers(lambda service: services.get(service) or connect(service), said).apply()
    assert any("could not delete instance profile demo_123" in text for text in said)
    assert sqs.list_queues().get("QueueUrls", []) == []
