"""What a removal's last list says of things that go by themselves, and of those that do not."""

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.leftovers import carrying
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
