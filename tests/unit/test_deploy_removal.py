"""An installation taken away: which steps, and what each of them looks at."""

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.account import Account
from darkroom.deploy.journal import Journal
from darkroom.deploy.leftovers import Leftovers
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.smoke import inbox_prefix
from darkroom.deploy.wanted import Wanted


@pytest.fixture
def connect():
    """An account in memory."""
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="us-west-2")


def leftovers(connect, said):
    return Leftovers(connect=connect, installation="demo", say=said.append)


def test_a_removal_needs_no_runtime_of_any_name(connect, catalogue, tmp_path):
    """runtimes.yaml may have changed since, and has nothing to do with it."""
    [*_, other] = catalogue.runtimes
    renamed = catalogue.model_copy(update={"runtimes": {"painter": catalogue.runtimes[other]}})
    deployment = Deployment(
        wanted=Wanted(name="demo", region="us-west-2", work=tmp_path),
        account=Account(id="111122223333", arn="arn:aws:iam::111122223333:root"),
        connect=connect,
        programs=Programs(),
        journal=Journal(tmp_path / "log"),
        catalogue=renamed,
        package=lambda: None,
    )
    for cluster in (None, deployment.cluster):
        assert "remove AWS resources (Terraform)" in [s.name for s in deployment.destroy(cluster)]


def test_the_queue_of_a_smoke_test_that_was_killed_goes(connect):
    """It is the only thing of its own that a killed test leaves."""
    sqs, said = connect("sqs"), []
    sqs.create_queue(QueueName=inbox_prefix("demo") + "0a1b2c3d")
    sqs.create_queue(QueueName="demo-jobs")
    leftovers(connect, said).apply()
    assert [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]] == ["demo-jobs"]
    assert any("smoke-test" in text for text in said)
