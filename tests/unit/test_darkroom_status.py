"""One screen: what there is, what is pending, and why. The documents are Kubernetes' own."""

from types import SimpleNamespace

import pytest

from darkroom.errors import ClusterError, NoStack
from darkroom.observed import Observed
from darkroom.serve_state import Deployment
from darkroom.situation import Situation
from darkroom.status_command import cluster_situation, of_stack


def pod(name, *, phase="Running", component=None, conditions=(), waiting=None):
    """A pod as the API server writes it."""
    labels = {"app.kubernetes.io/component": component}
    found = {
        "metadata": {"name": name, "labels": {k: v for k, v in labels.items() if v}},
        "status": {"phase": phase, "conditions": [condition(*each) for each in conditions]},
    }
    if waiting:
        found["status"]["containerStatuses"] = [{"state": {"waiting": waiting}}]
    return found


def condition(kind, status="True", message=""):
    """A condition of anything."""
    return {"type": kind, "status": status, "message": message}


def node(instance, capacity, gpus=0):
    """A node as Karpenter labels it."""
    labels = {
        "node.kubernetes.io/instance-type": instance,
        "karpenter.sh/capacity-type": capacity,
    }
    return {
        "metadata": {"name": instance, "labels": labels},
        "status": {"allocatable": {"nvidia.com/gpu": str(gpus)} if gpus else {}},
    }


def service(*conditions, suspend=False):
    """A RayService."""
    return Observed(
        document={
            "metadata": {"name": "demo", "resourceVersion": "1", "generation": 1},
            "spec": {"suspend": suspend},
            "status": {"conditions": [condition(*each) for each in conditions]},
        }
    )


READY = [("Ready",)]
NO_ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
BUSY = Situation(
    runtime="demo",
    queue=(12, 3),
    service=service(*READY),
    bridges_wanted=2,
    deployments=[
        Deployment(
            app="demo",
            name="generator",
            status="UPSCALING",
            message="",
            wanted=3,
            replicas={"RUNNING": 1, "STARTING": 2},
        )
    ],
    pods=[
        pod("bridge-1", component="bridge", conditions=READY),
        pod("bridge-2", component="bridge", waiting={"reason": "ImagePullBackOff"}),
        pod("gpu-1", component="ray-worker", conditions=READY),
        pod(
            "gpu-2",
            component="ray-worker",
            phase="Pending",
            conditions=[("PodScheduled", "False", NO_ROOM)],
        ),
    ],
    nodes=[
        node("g5.xlarge", "spot", 1),
        node("g5.xlarge", "spot", 1),
        node("t3a.large", "on-demand"),
    ],
    warnings=[
        {"involvedObject": {"name": "gpu-2"}, "reason": "FailedScheduling", "message": NO_ROOM},
        {"involvedObject": {"name": "gpu-2"}, "reason": "NoCapacity", "message": "no g5 in a, b"},
        {"involvedObject": {"name": "other"}, "reason": "Failed", "message": "not ours"},
    ],
)


def test_everything_that_scales_has_its_line():
    """In the order in which work goes through it."""
    rows = BUSY.rows()
    assert rows[:7] == [
        ("runtime", "demo"),
        ("queue", "12 waiting, 3 in work"),
        ("bridge", "1 of 2 ready"),
        ("service", "ready"),
        ("serve generator", "1 running, 2 starting, 3 wanted (upscaling)"),
        ("workers", "1 pending, 1 running"),
        ("nodes", "1 CPU t3a.large on-demand, 2 GPU g5.xlarge spot"),
    ]


def test_what_is_pending_says_why():
    """A replica, an image that is not there, a node that does not come."""
    assert dict(BUSY.pending()) == {
        "serve generator": "2 to start",
        "bridge-2": "ImagePullBackOff",
        "gpu-2": f"{NO_ROOM} · NoCapacity no g5 in a, b",
    }


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (service(*READY), "ready"),
        (service(("Ready", "False")), "not ready"),
        (service(suspend=True), "falling asleep"),
        (service(("Suspended",), suspend=True), "asleep"),
    ],
)
def test_a_service_is_awake_or_asleep_or_between(found, word):
    """What sleeps is not pending."""
    situation = Situation(runtime="demo", service=found)
    assert dict(situation.rows())["service"] == word
    assert bool(list(situation.pending())) == (word == "not ready")


def test_at_rest_there_is_nothing_and_nothing_is_pending():
    """Zero is a state, not an error."""
    idle = Situation(
        runtime="demo", queue=(0, 0), bridges_wanted=0, service=service(*READY), pods=[], nodes=[]
    )
    assert list(idle.pending()) == []
    assert dict(idle.rows())["workers"] == "none"


def test_what_may_not_be_read_is_said_and_the_rest_is_shown():
    """A role without nodes, a cluster without KubeRay."""

    def refused(*_):
        raise ClusterError("403 Forbidden")

    kuberay = SimpleNamespace(service=lambda _: service(*READY))
    workloads = SimpleNamespace(
        replicas_wanted=lambda name: {"bridge-demo": 1, "bridge-demo-batch": 0}[name],
        pods=lambda _: [],
        nodes=refused,
        warnings=refused,
    )
    rows = dict(cluster_situation("demo", kuberay, workloads, {}).rows())
    assert rows["service"] == "ready"
    assert rows["bridge"] == "0 of 1 ready"
    assert "nodes" not in rows
    assert rows["not known"] == "events: 403 Forbidden"


def test_without_a_stack_that_is_said(tmp_path, monkeypatch):
    """And how to have one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoStack, match="darkroom up"):
        of_stack("demo", {})
