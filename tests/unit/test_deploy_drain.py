"""Jobs of an installation that goes: who waits for which, and what is said of the others."""

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.drain import DrainedJobs
from darkroom.deploy.inbox import inbox_prefix
from darkroom.deploy.ownership import Names


@pytest.fixture
def connect():
    """An account in memory."""
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="us-west-2")


@pytest.fixture
def said():
    """What a person is told."""
    return []


class Working:
    """A cluster with these bridges, and the workers of these runtimes' dead letters."""

    def __init__(self, bridges=(), dead_letters=()):
        self.objects = {
            "pods": [
                {
                    "metadata": {"labels": {"app.kubernetes.io/name": name}},
                    "status": {"phase": phase},
                }
                for name, phase in dict(bridges).items()
            ],
            "cronjobs": [{"metadata": {"name": f"dead-letters-{each}"}} for each in dead_letters],
        }

    def items(self, kind, **_):
        return self.objects[kind]


def drained(connect, said, cluster, queues, installation="demo", runtimes=("painter",)):
    """How long it waited, with so many messages in each queue."""
    sqs, slept = connect("sqs"), []
    for name, count in queues.items():
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        for number in range(count):
            sqs.send_message(QueueUrl=url, MessageBody=str(number))
    DrainedJobs(
        sqs=sqs,
        names=Names(installation=installation, account="1", region="us-west-2", runtimes=runtimes),
        cluster=cluster,
        say=said.append,
        wait_s=30,
        sleep=slept.append,
    ).apply()
    return sum(slept)


PAINTING = Working({"bridge-painter": "Running"}, ["painter"])


def test_what_is_parked_is_listed_and_not_waited_for(connect, said):
    """Only a person empties such a queue."""
    queues = {"demo-painter-parked": 2, "demo-unrouted": 1, "demo-painter": 0}
    assert drained(connect, said, PAINTING, queues) == 0
    assert said == [
        "demo-painter-parked: 2 jobs that were put aside; they go with the queue",
        "demo-unrouted: 1 jobs that were put aside; they go with the queue",
    ]


def test_jobs_are_waited_for_as_long_as_was_asked(connect, said):
    """And then named."""
    queues = {
        "demo-painter": 3,
        "demo-painter-dead-letters": 1,
        "demo-webhooks": 1,
        inbox_prefix("demo") + "0a1b2c3d": 1,
    }
    assert drained(connect, said, PAINTING, queues) == 30
    assert said == [
        "demo-painter: 3 jobs; nobody will do them (their records say `queued`)",
        "demo-painter-dead-letters: 1 jobs; nobody will do them (their records say `queued`)",
    ]


@pytest.mark.parametrize(
    "cluster",
    [None, Working(), Working({"bridge-painter": "Succeeded", "bridge-other": "Running"})],
    ids=["no cluster", "no bridge", "another's bridge"],
)
def test_jobs_without_a_bridge_are_named_at_once(connect, said, cluster):
    """KEDA is paused: none will come, and half an hour of waiting would change nothing."""
    assert drained(connect, said, cluster, {"demo-painter": 3}) == 0
    assert said == [
        "demo-painter: 3 jobs, and no bridge is at work: nobody will do them "
        "(their records say `queued`)"
    ]


def test_jobs_that_have_a_bridge_are_waited_for_beside_those_that_have_none(connect, said):
    """Each is named once."""
    queues = {"demo-painter": 3, "demo-painter-batch": 2}
    assert drained(connect, said, PAINTING, queues) == 30
    assert [text.partition(";")[0].partition(",")[0] for text in said] == [
        "demo-painter-batch: 2 jobs",
        "demo-painter: 3 jobs",
    ]


def test_jobs_of_another_installation_are_nobodys_concern(connect, said):
    """`demo-dev-painter` begins like `demo`, and is a queue of `demo-dev`."""
    queues = {"demo-painter": 1, "demo-dev-painter": 4, "demo-dev-painter-batch": 5}
    assert drained(connect, said, None, queues) == 0
    assert [text.partition(":")[0] for text in said] == ["demo-painter"]
    said.clear()
    drained(connect, said, None, {}, installation="demo-dev")
    assert [text.partition(":")[0] for text in said] == [
        "demo-dev-painter",
        "demo-dev-painter-batch",
    ]
