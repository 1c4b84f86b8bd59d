"""What the smoke test sees of the nodes of its job, and of their snapshot."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.errors import SmokeFailed
from darkroom.deploy.job_nodes import ClusterNodes
from darkroom.deploy.smoke import SmokeTest
from jobs.outcome import Output
from jobs.status import Status
from jobs.view import JobView, LinkView, TimeView

IMAGE = "registry.example/serve-gpu@sha256:0123"
ACCEPTED = datetime(2026, 1, 1, tzinfo=UTC)
DONE = JobView(
    uid="u",
    id="smoke-1",
    status=Status.SUCCEEDED,
    runtime="demo",
    model="demo",
    priority="interactive",
    input=None,
    outputs=(
        Output(
            key="outputs/u/0.png",
            media_type="image/png",
            sha256="0" * 64,
            bytes=7,
            width=8,
            height=8,
            seed=7,
        ),
    ),
    times=TimeView(accepted=ACCEPTED, recorded=ACCEPTED + timedelta(seconds=100)),
    urls=LinkView(get="/v1/jobs/u", cancel="/v1/jobs/u/cancel"),
)


class OneJob(SmokeTest):
    """The smoke test of an installation whose one job took 100 seconds and has its image."""

    def _job(self, inbox):
        return DONE, 100.0

    def _image(self, view):
        pass


class ScriptedNodes:
    """Nodes that leave after some looks, and what they pulled."""

    def __init__(self, *, kind="gpu", looks=0, pulled=(), cached=()):
        self.kind, self.looks = kind, looks
        self._pulled, self._cached = list(pulled), list(cached)

    def left(self):
        self.looks -= 1
        return [f"{self.kind}-1"] if self.looks >= 0 else []

    def pulled(self, since):
        return self._pulled

    def cached(self, since):
        return self._cached


@pytest.fixture
def smoke():
    """A test with a topic to listen to."""
    with mock_aws():
        sns = boto3.client("sns", region_name="us-west-2")
        topic = sns.create_topic(Name="demo-notices")["TopicArn"]
        yield OneJob(
            api_url=lambda: "http://127.0.0.1:9",
            api_key=lambda: "key",
            sqs=boto3.client("sqs", region_name="us-west-2"),
            sns=sns,
            notices_topic=lambda: topic,
            installation="demo",
            model=None,
            say=lambda text: None,
        )


def looked(smoke, nodes, *, snapshot, **changed):
    """What the test saw of such nodes."""
    with_nodes = {"nodes": nodes, "cached": lambda: snapshot, "hour_usd": 0.36}
    asked = replace(smoke, seen=[], **(with_nodes | changed))
    asked.apply()
    [findings] = asked.seen
    return findings


def test_an_image_that_was_in_the_snapshot_and_was_pulled_all_the_same_fails(smoke):
    """The snapshot costs money and saved no second."""
    nodes = ScriptedNodes(pulled=[IMAGE], cached=["registry.example/bridge"])
    with pytest.raises(SmokeFailed, match=f"pulled {re.escape(IMAGE)}, although its snapshot"):
        looked(smoke, nodes, snapshot=True)


def test_a_pull_without_a_snapshot_is_said_and_is_no_failure(smoke):
    """It is how it works until somebody builds one."""
    findings = looked(smoke, ScriptedNodes(pulled=[IMAGE]), snapshot=False)
    assert findings.warnings == (f"a GPU node pulled {IMAGE}: there is no snapshot with it",)


@pytest.mark.parametrize(("cached", "warnings"), [([IMAGE], 0), ([], 1)])
def test_that_nothing_was_pulled_counts_only_if_an_image_was_seen_to_be_there(
    smoke, cached, warnings
):
    """No event at all looks like no pull, and says nothing of the snapshot."""
    findings = looked(smoke, ScriptedNodes(cached=cached), snapshot=True)
    assert len(findings.warnings) == warnings
    assert all("not seen" in warning for warning in findings.warnings)


def test_a_gpu_node_that_stays_fails_by_its_name(smoke):
    """It costs money while nothing runs."""
    nodes = ScriptedNodes(looks=1000, cached=[IMAGE])
    with pytest.raises(SmokeFailed, match="gpu-1 still there 0 s after the job"):
        looked(smoke, nodes, snapshot=True, to_zero_s=0)


def test_the_cost_is_of_the_job_and_of_the_node_until_it_is_gone(smoke):
    """100 s at 0.36 USD an hour are a cent; no node, no seconds after it."""
    findings = looked(smoke, ScriptedNodes(cached=[IMAGE]), snapshot=True)
    assert findings.usd == pytest.approx(0.01, abs=1e-4)
    assert replace(smoke, hour_usd=0.36)._usd(100, 900) == pytest.approx(0.1)
    lines = findings.lines()
    assert any("no node of this job again after 0 s" in line for line in lines)
    assert any("cooldown: 0.0100 USD" in line for line in lines)


def queues(smoke, *names):
    """Queues of jobs; a busy one has one."""
    urls = [smoke.sqs.create_queue(QueueName=name)["QueueUrl"] for name in names]
    for url in urls:
        if url.endswith("busy"):
            smoke.sqs.send_message(QueueUrl=url, MessageBody="a job")
    return urls


def test_nodes_that_other_jobs_keep_are_no_failure(smoke):
    """After an upgrade under load; that they go cannot be seen then, which is said."""
    nodes = ScriptedNodes(looks=1000, cached=[IMAGE])
    busy = {"queues": lambda: queues(smoke, "idle", "busy"), "own_s": 0, "to_zero_s": 0}
    findings = looked(smoke, nodes, snapshot=True, **busy)
    assert (findings.to_zero_s, findings.usd) == (None, None)
    assert "Others are at work" in findings.warnings[0]


def test_our_own_job_that_is_still_counted_is_not_taken_for_another(smoke):
    """SQS's counts lag; the node that stays would never fail."""
    nodes = ScriptedNodes(looks=1000, cached=[IMAGE])
    with pytest.raises(SmokeFailed, match="gpu-1 still there"):
        looked(smoke, nodes, snapshot=True, queues=lambda: queues(smoke, "busy"), to_zero_s=0)


def test_with_empty_queues_a_node_that_stays_is_a_failure(smoke):
    """No job keeps it."""
    nodes, idle = ScriptedNodes(looks=1000, cached=[IMAGE]), queues(smoke, "idle")
    with pytest.raises(SmokeFailed, match="gpu-1 still there"):
        looked(smoke, nodes, snapshot=True, queues=lambda: idle, own_s=0, to_zero_s=0)


def test_a_node_without_gpus_is_waited_for_and_paid_too(smoke):
    """It is the default runtime's; no snapshot is looked for on it."""
    findings = looked(smoke, ScriptedNodes(kind="cpu", pulled=[IMAGE]), snapshot=True)
    assert findings.warnings == ()
    assert findings.usd == pytest.approx(0.01, abs=1e-4)
    with pytest.raises(SmokeFailed, match="cpu-1 still there"):
        looked(smoke, ScriptedNodes(kind="cpu", looks=1000), snapshot=False, to_zero_s=0)


def test_without_a_cluster_nothing_is_said_of_nodes_but_that(smoke):
    """No cost that nobody has measured."""
    findings = looked(smoke, None, snapshot=False)
    assert (findings.to_zero_s, findings.usd) == (None, None)
    assert "no cluster" in findings.warnings[0]


def kubelet(message, host="gpu-1", reason="Pulled"):
    """An event as `kubectl get events -o json` shows it."""
    return {"reason": reason, "source": {"component": "kubelet", "host": host}, "message": message}


class Kubectl:
    """A cluster with a node of each kind, and what the kubelets and the scheduler say."""

    def __init__(self, *events, pods=()):
        self.events, self.pods = events, pods

    def items(self, kind, *, namespace=None):
        if kind == "events":
            return list(self.events) if namespace == "darkroom" else []
        if kind == "pods":
            return list(self.pods) if namespace == "darkroom" else []
        kinds = {"gpu-1": "gpu", "gpu-old": "gpu", "cpu-1": "cpu", "system-1": "system"}
        nodes = [
            {"name": name, "labels": {"darkroom/nodes": kind}} for name, kind in kinds.items()
        ] + [{"name": "of-somebody-else"}]
        years = {"gpu-old": 2025}
        return [
            {
                "metadata": each
                | {"creationTimestamp": f"{years.get(each['name'], 2026)}-01-01T00:01:00Z"}
            }
            for each in nodes
        ]


def pod(component, node, phase="Running"):
    """A pod of ours as kubectl shows it."""
    return {
        "metadata": {"labels": {"app.kubernetes.io/component": component}},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("pods", "left"),
    [
        ([], ["cpu-1"]),
        ([pod("ray-worker", "cpu-1")], ["cpu-1"]),
        ([pod("ray-worker", "cpu-1"), pod("ray-head", "cpu-1")], []),
        ([pod("bridge", "cpu-1")], []),
        ([pod("bridge", "cpu-1", "Succeeded")], ["cpu-1"]),
        ([pod("bridge", "system-1"), pod("bridge", None, "Pending")], ["cpu-1"]),
    ],
)
def test_a_node_that_something_else_needs_is_not_waited_for(pods, left):
    """A head that may sleep, a bridge, a batch: those stay, or go in their own time."""
    assert ClusterNodes(cluster=Kubectl(pods=pods), kind="cpu").left() == left


PULLED = f'Successfully pulled image "{IMAGE}" in 41.2s (41.2s including waiting)'
PRESENT = f'Container image "{IMAGE}" already present on machine'


@pytest.mark.parametrize(
    ("event", "pulled", "cached"),
    [
        (kubelet(PULLED), [IMAGE], []),
        (kubelet(PRESENT), [], [IMAGE]),
        (kubelet(PRESENT + " and can be accessed by the pod"), [], [IMAGE]),
        (kubelet(PULLED, host="system-1"), [], []),
        (kubelet(PRESENT, host="gone-1"), [], []),
        (kubelet(PULLED, host="gpu-old"), [], []),
        (kubelet(f'Pulling image "{IMAGE}"', reason="Pulling"), [], []),
        ({"reason": "Pulled", "message": PULLED}, [], []),
    ],
)
def test_what_a_gpu_node_had_and_pulled_is_read_from_the_kubelets_events(event, pulled, cached):
    """Of GPU nodes that came for the job; an older one was made of another snapshot."""
    nodes = ClusterNodes(cluster=Kubectl(event), kind="gpu")
    assert nodes.left() == ["gpu-1", "gpu-old"]
    assert (nodes.pulled(ACCEPTED), nodes.cached(ACCEPTED)) == (pulled, cached)
