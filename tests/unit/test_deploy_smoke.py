"""The smoke test's own parts; what it sees of an installation is tested on an applied stack."""

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.smoke import SmokeTest, inbox_prefix


@pytest.fixture
def smoke():
    """A test with a topic to listen to."""
    with mock_aws():
        sns = boto3.client("sns", region_name="us-west-2")
        topic = sns.create_topic(Name="demo-notices")["TopicArn"]
        yield SmokeTest(
            api_url=lambda: "http://127.0.0.1:9",
            api_key=lambda: "key",
            sqs=boto3.client("sqs", region_name="us-west-2"),
            sns=sns,
            notices_topic=lambda: topic,
            installation="demo",
            model=None,
            say=lambda text: None,
        )


def test_each_run_has_a_queue_of_its_own_which_goes_with_it(smoke):
    """SQS refuses for a minute to make a queue anew that was deleted."""
    names = []
    for _ in range(2):
        with smoke._inbox() as url:
            names.append(url.rpartition("/")[2])
        assert smoke.sqs.list_queues().get("QueueUrls", []) == []
    assert len(set(names)) == 2
    assert all(name.startswith(inbox_prefix("demo")) for name in names)
