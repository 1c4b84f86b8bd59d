"""The smoke test's own subscriber; what it sees of an installation an applied stack shows."""

import json
import time
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy import smoke
from darkroom.deploy.inbox import Inbox, inbox_prefix
from darkroom.deploy.smoke import SmokeTest
from jobs.errors import JobsError


@pytest.fixture
def account():
    """The topics of two installations, one of whose names begins like the other's."""
    with mock_aws():
        sns = boto3.client("sns", region_name="us-west-2")
        topics = [
            sns.create_topic(Name=f"{name}-notices")["TopicArn"] for name in ("demo", "demo-dev")
        ]
        yield SimpleNamespace(
            sqs=boto3.client("sqs", region_name="us-west-2"), sns=sns, topics=topics
        )


def inbox(account, installation="demo", *, later_s=0.0):
    """An inbox, seen so much later."""
    topic = account.topics[("demo", "demo-dev").index(installation)]
    return Inbox(
        sqs=account.sqs,
        sns=account.sns,
        topic=topic,
        installation=installation,
        now=lambda: time.time() + later_s,
    )


def killed(account, installation="demo"):
    """The name of what a run has left that never came to its end."""
    name = f"{inbox_prefix(installation)}0a1b2c3d"
    url = account.sqs.create_queue(QueueName=name)["QueueUrl"]
    wanted = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    account.sns.subscribe(
        TopicArn=inbox(account, installation).topic,
        Protocol="sqs",
        Endpoint=wanted["Attributes"]["QueueArn"],
    )
    return name


def queues(account):
    found = account.sqs.list_queues().get("QueueUrls", [])
    return sorted(url.rpartition("/")[2] for url in found)


def subscribers(account):
    found = account.sns.list_subscriptions()["Subscriptions"]
    return sorted(each["Endpoint"].rpartition(":")[2] for each in found)


def test_each_run_has_a_queue_of_its_own_which_goes_with_it(account):
    """SQS refuses for a minute to make a queue anew that was deleted."""
    names = []
    for _ in range(2):
        with inbox(account).opened() as url:
            names.append(url.rpartition("/")[2])
            assert subscribers(account) == names[-1:]
        assert (queues(account), subscribers(account)) == ([], [])
    assert len(set(names)) == 2
    assert all(name.startswith(inbox_prefix("demo")) for name in names)


def test_the_queue_takes_notices_from_its_first_moment(account):
    """A policy that is set later counts after a minute; a warm bridge needs three seconds."""
    account.sqs.meta.events.register("before-call.sqs.SetQueueAttributes", too_late)
    with inbox(account).opened() as url:
        found = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        [rule] = json.loads(found["Policy"])["Statement"]
        assert rule["Resource"] == found["QueueArn"]
        assert rule["Condition"] == {"ArnEquals": {"aws:SourceArn": account.topics[0]}}
        account.sns.publish(TopicArn=account.topics[0], Message="done")
        received = account.sqs.receive_message(QueueUrl=url)["Messages"]
    assert [each["Body"] for each in received] == ["done"]


def too_late(**_):
    raise AssertionError("the policy is set after the queue was made")


def test_what_a_killed_run_left_goes_with_its_subscription(account):
    """Notices would be kept for nobody, of every job."""
    left = killed(account)
    assert inbox(account, later_s=3600).clear(older_than_s=1200) == [left]
    assert (queues(account), subscribers(account)) == ([], [])
    assert inbox(account, later_s=3600).clear(older_than_s=1200) == []


def test_a_run_that_may_be_at_work_keeps_its_queue(account):
    """Somebody else may deploy the same installation."""
    young = killed(account)
    assert inbox(account, later_s=600).clear(older_than_s=1200) == []
    assert (queues(account), subscribers(account)) == ([young], [young])


def test_nothing_of_another_installation_goes(account):
    """Neither its runs' queues, nor those of one that is called as our queues begin."""
    others = killed(account, "demo-dev")
    account.sqs.create_queue(QueueName="demo-smoke-test-jobs")
    inbox(account, later_s=3600).clear(older_than_s=1200)
    assert queues(account) == [others, "demo-smoke-test-jobs"]
    assert subscribers(account) == [others]


def test_the_next_smoke_test_removes_it_before_its_own_begins_and_says_so(account, monkeypatch):
    """Whatever becomes of that one."""
    left, said = killed(account), []
    monkeypatch.setattr(smoke, "Inbox", lambda **named: Inbox(**named, now=lambda: 4e9))

    def nowhere():
        raise JobsError("no API")

    test = SmokeTest(
        api_url=nowhere,
        api_key=lambda: "key",
        sqs=account.sqs,
        sns=account.sns,
        notices_topic=lambda: account.topics[0],
        installation="demo",
        model=None,
        say=said.append,
    )
    with pytest.raises(JobsError):
        test.apply()
    assert said == [f"removed {left}: a smoke test that was killed had left it"]
    assert (queues(account), subscribers(account)) == ([], [])
