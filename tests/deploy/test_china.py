"""The same module in another partition, planned by the true provider."""

import json

import pytest
from terraform import Terraform, TerraformFailed, aws_environ


@pytest.fixture(scope="module")
def planned(tmp_path_factory, terraform_program, emulator, variables):
    """The plan's JSON of a first apply in Beijing."""
    ours = {
        name: value
        for name, value in variables.items()
        if name not in ("admin_principals", "interface_endpoints")
    }
    emulator.client("s3").create_bucket(Bucket="state")
    copy = Terraform.copied(
        tmp_path_factory.mktemp("china"),
        aws_environ(emulator.address),
        **ours | {"region": "cn-north-1"},
    )
    try:
        copy.init(bucket="state", key="china")
    except TerraformFailed as failed:
        last = " ".join(str(failed).split())[-200:]
        pytest.skip(f"terraform cannot get its provider: ... {last}")
    return copy.plan()


def test_a_plan_for_china_names_nothing_of_another_partition(planned):
    """Neither ARNs nor names of services; the provider's own data knows them."""
    after = [change["change"]["after"] for change in planned["resource_changes"]]
    text = json.dumps(after)
    assert text.count("arn:aws-cn:") > 20
    assert "arn:aws:" not in text
    assert ".amazonaws.com/" not in text
    assert "us-west-2" not in text
    assert "us-east-1" not in text


def test_principals_are_the_partitions_own(planned):
    """EC2 goes by both names there."""
    roles = {
        change["change"]["after"]["name"]: json.loads(
            change["change"]["after"]["assume_role_policy"]
        )
        for change in planned["resource_changes"]
        if change["type"] == "aws_iam_role"
    }
    trusted = {
        name.removeprefix("demo-"): policy["Statement"][0]["Principal"]["Service"]
        for name, policy in roles.items()
    }
    assert trusted["node"] == ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]
    assert trusted["bridge"] == ["pods.eks.amazonaws.com"]
    assert trusted["api"] == ["lambda.amazonaws.com"]
