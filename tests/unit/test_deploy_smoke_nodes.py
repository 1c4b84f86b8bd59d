"""What the smoke test sees of GPU nodes and their snapshot."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.errors import SmokeFailed
from darkroom.deploy.gpu_nodes import ClusterNodes
from darkroom.deploy.smoke import Nodes, SmokeTest
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


class ScriptedNodes(Nodes):
    """GPU nodes that leave after some looks, and what they pulled."""

    def __init__(self, *, looks=0, pulled=(), cached=()):
        self.looks, self._pulled, self._cached = looks, list(pulled), list(cached)

    def gpu(self):
        self.looks -= 1
        return ["gpu-1"] if self.looks >= 0 else []

    def pulled(self):
        return self._pulled

    def cached(self):
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
    with_nodes = {"nodes": nodes, "cached": lambda: snapshot, "gpu_hour_usd": 0.36}
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
    assert replace(smoke, gpu_hour_usd=0.36)._usd(100, 900) == pytest.approx(0.1)
    lines = findings.lines()
    assert any("no GPU node again after 0 s" in line for line in lines)
    assert any("cooldown: 0.0100 USD" in line for line in lines)


def test_without_gpus_nothing_is_said_of_nodes_but_that(smoke):
    """No cost that nobody has measured."""
    findings = looked(smoke, None, snapshot=False)
    assert (findings.to_zero_s, findings.usd) == (None, None)
    assert "no GPU" in findings.warnings[0]


def kubelet(message, host="gpu-1", reason="Pulled"):
    """An event as `kubectl get events -o json` shows it."""
    return {"reason": reason, "source": {"component": "kubelet", "host": host}, "message": message}


class Kubectl:
    """A cluster with one GPU node and one of the system."""

    def __init__(self, *events):
        self.events = events

    def items(self, kind, *, namespace=None):
        if kind == "events":
            return list(self.events) if namespace == "darkroom" else []
        kinds = {"gpu-1": "gpu", "system-1": "system"}
        return [
            {"metadata": {"name": name, "labels": {"darkroom/nodes": kind}}}
            for name, kind in kinds.items()
        ] + [{"metadata": {"name": "of-somebody-else"}}]


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
        (kubelet(f'Pulling image "{IMAGE}"', reason="Pulling"), [], []),
        ({"reason": "Pulled", "message": PULLED}, [], []),
    ],
)
def test_what_a_gpu_node_had_and_pulled_is_read_from_the_kubelets_events(event, pulled, cached):
    """Of GPU nodes that are there; others pull whatever they like."""
    nodes = ClusterNodes(Kubectl(event))
    assert nodes.gpu() == ["gpu-1"]
    assert (nodes.pulled(), nodes.cached()) == (pulled, cached)
