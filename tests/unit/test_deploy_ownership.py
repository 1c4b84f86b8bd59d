"""Of two installations in one account, each has what is its own, and nothing of the other's."""

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.leftovers import Leftovers, carrying
from darkroom.deploy.ownership import Names

ACCOUNT, REGION = "123456789012", "us-west-2"


def names(installation, *runtimes):
    return Names(
        installation=installation, account=ACCOUNT, region=REGION, runtimes=runtimes or ("demo",)
    )


@pytest.mark.parametrize(
    ("service", "called"),
    [
        ("s3", "{name}-outputs-123456789012-us-west-2"),
        ("s3", "{name}-123456789012-us-west-2-tfstate"),
        ("sqs", "https://sqs.us-west-2.amazonaws.com/123456789012/{name}-demo"),
        ("sqs", "https://sqs.us-west-2.amazonaws.com/123456789012/{name}-demo-batch"),
        ("sqs", "https://sqs.us-west-2.amazonaws.com/123456789012/{name}-demo-parked"),
        ("sqs", "https://sqs.us-west-2.amazonaws.com/123456789012/{name}-webhooks"),
        ("sqs", "https://sqs.us-west-2.amazonaws.com/123456789012/{name}-smoke-test-0a1b2c3d"),
        ("sns", "arn:aws:sns:us-west-2:123456789012:{name}-notices"),
        ("dynamodb", "{name}-keys"),
        ("lambda", "{name}-authorizer"),
        ("apigateway", "{name}"),
        ("apigateway", "{name}-standard"),
        ("secretsmanager", "{name}/first-key"),
        ("eks", "{name}"),
        ("ecr", "{name}/serve"),
        ("logs", "/aws/lambda/{name}-api"),
        ("logs", "/aws/eks/{name}/cluster"),
        ("logs", "/aws/apigateway/{name}"),
        ("logs", "/darkroom/{name}/pods"),
        ("cloudwatch", "{name}-demo-oldest-message"),
        ("cloudwatch", "{name}-demo-batch-stuck"),
        ("cloudwatch", "{name}-gpu-quota-spot"),
        ("cloudwatch", "{name}"),
        ("budgets", "{name}"),
        ("xray", "{name}"),
        ("kms", "alias/{name}-messaging"),
        ("events", "{name}-rebalance"),
        ("iam", "{name}-karpenter-node"),
        ("iam", "{name}_1234567890"),
        ("cloudformation", "{name}Stack"),
    ],
)
def test_a_name_belongs_to_one_installation(service, called):
    """Neither to one whose name is its beginning, nor to one whose name it begins."""
    three = ("darkroom", "darkroom-dev", "darkroom-dev-2")
    for one in three:
        owners = [each for each in three if names(each).owns(service, called.format(name=one))]
        assert owners == [one]


def test_of_names_that_both_could_form_the_runtimes_decide():
    """`darkroom` may have a runtime called `dev-demo`, if `darkroom-dev` has none called `demo`."""
    both = [names("darkroom", "dev-demo"), names("darkroom-dev", "other")]
    assert [each.owns("sqs", "darkroom-dev-demo") for each in both] == [True, False]
    both = [names("darkroom", "demo"), names("darkroom-dev", "demo")]
    assert [each.owns("sqs", "darkroom-dev-demo") for each in both] == [False, True]


def test_of_two_installations_each_lists_and_removes_what_is_its_own():
    """At the end of a removal, with the other one at work."""
    with mock_aws():

        def connect(service):
            return boto3.client(service, region_name=REGION)

        for name in ("darkroom", "darkroom-dev"):
            for queue in ("demo", "demo-dead-letters", "smoke-test-0a1b2c3d"):
                connect("sqs").create_queue(QueueName=f"{name}-{queue}")
            connect("sns").create_topic(Name=f"{name}-jobs")
            connect("logs").create_log_group(logGroupName=f"/aws/lambda/{name}-api")
        found, silent = carrying(connect, names("darkroom"))
        # moto has no such listings.
        assert {each.partition(":")[0] for each in silent} <= {"xray"}
        assert sorted(each.rpartition(":")[2].rpartition("/")[2] for each in found) == [
            "darkroom-api",
            "darkroom-demo",
            "darkroom-demo-dead-letters",
            "darkroom-jobs",
            "darkroom-smoke-test-0a1b2c3d",
        ]
        said = []
        Leftovers(connect=connect, installation="darkroom", say=said.append).apply()
        assert len(said) == 2
        left = [url.rpartition("/")[2] for url in connect("sqs").list_queues()["QueueUrls"]]
        assert "darkroom-dev-smoke-test-0a1b2c3d" in left
        assert "darkroom-smoke-test-0a1b2c3d" not in left
        groups = connect("logs").describe_log_groups()["logGroups"]
        assert [each["logGroupName"] for each in groups] == ["/aws/lambda/darkroom-dev-api"]
