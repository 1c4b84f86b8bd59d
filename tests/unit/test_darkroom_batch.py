"""A batch on a cluster: the RayJob that is made of the RayService, and what is done with it."""

import json
from types import SimpleNamespace

import pytest

from darkroom.batch import OnCluster
from darkroom.batch_job import batch_job
from darkroom.errors import JobFailed, TookTooLong
from darkroom.observed import Observed
from records.memory import MemoryStore

GPU = {"name": "ray-worker", "image": "example/gpu@sha256:1", "resources": {}}
SERVICE = Observed(
    document={
        "metadata": {"name": "demo", "namespace": "darkroom", "resourceVersion": "1"},
        "spec": {
            "serveConfigV2": "applications: []",
            "rayClusterConfig": {
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},
                    "template": {"spec": {"containers": [{"name": "ray-head"}]}},
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "gpu",
                        "minReplicas": 1,
                        "replicas": 2,
                        "maxReplicas": 8,
                        "template": {
                            "metadata": {"labels": {"darkroom/runtime": "demo"}},
                            "spec": {
                                "containers": [
                                    GPU | {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
                                ],
                                "nodeSelector": {"workload": "gpu"},
                                "tolerations": [{"key": "nvidia.com/gpu"}],
                            },
                        },
                    }
                ],
            },
        },
    }
)


def made():
    """The job of that service."""
    return batch_job(
        SERVICE, name="batch-1", runtime="demo", prompts="s3://b/p.jsonl", outputs="s3://b/o"
    )


def test_the_job_has_the_services_images_and_ends_with_its_list():
    """One definition of what paints; deleted even if nobody looks."""
    job = made()
    spec = job["spec"]
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert group["template"]["spec"]["containers"][0]["image"] == GPU["image"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["entrypoint"].endswith("s3://b/p.jsonl s3://b/o demo --ray")
    assert job["metadata"]["labels"]["app.kubernetes.io/component"] == "batch"


def test_its_gpus_are_spot_and_come_from_zero():
    """In addition to what the group asks of a node; the service itself is as it was."""
    (group,) = made()["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["template"]["spec"]["nodeSelector"] == {
        "workload": "gpu",
        "karpenter.sh/capacity-type": "spot",
    }
    assert group["minReplicas"] == 0
    assert "replicas" not in group
    (before,) = SERVICE.document["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert before["replicas"] == 2


def test_its_pods_are_told_from_those_that_serve():
    """By label: the service's own selectors must not find them."""
    cluster = made()["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        labels = group["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "batch"


class Cluster:
    """KubeRay as far as a batch asks it; `looks` are what the progress says at each."""

    def __init__(self, store, *looks, status="SUCCEEDED"):
        self.store = store
        self.looks = list(looks)
        self.status = status
        self.submitted = []
        self.deleted = []

    def service(self, name):
        """The runtime's."""
        return SERVICE

    def submit_job(self, manifest):
        """Noted."""
        self.submitted.append(manifest["metadata"]["name"])

    def wait_job(self, name, *, timeout_s):
        """Not yet, as often as there are looks but one."""
        self._write(name)
        if self.looks:
            raise TookTooLong("not yet")
        return SimpleNamespace(status={"jobStatus": self.status})

    def _write(self, name):
        done = self.looks.pop(0)
        if done is not None:
            key = f"batch/{name.removeprefix('batch-')}/progress.json"
            told = {"total": 3, "succeeded": done, "failed": 0}
            self.store.put(key, json.dumps(told).encode(), media_type="application/json")

    def delete_job(self, name):
        """Noted."""
        self.deleted.append(name)


def followed(cluster, timeout_s=100):
    """What was told of a batch on that cluster."""
    told = []
    batch = OnCluster(kuberay=cluster, store=cluster.store, runtime="demo")
    batch.follow(b'{"prompt": "x"}', lambda each: told.append(each.done), timeout_s=timeout_s)
    return told


def test_it_is_followed_to_its_end_and_deleted():
    """From before the first word to the last."""
    cluster = Cluster(MemoryStore(), None, 1, 2, 3)
    assert followed(cluster) == [1, 2, 3]
    assert cluster.deleted == cluster.submitted


def test_a_job_that_ends_before_its_list_is_deleted_and_told():
    """What it has done stays; the same command goes on."""
    cluster = Cluster(MemoryStore(), 1, 1, status="FAILED")
    with pytest.raises(JobFailed, match="run it again"):
        followed(cluster)
    assert cluster.deleted == cluster.submitted


def test_who_does_not_wait_any_more_leaves_it_at_work():
    """It is found again by its prompts."""
    cluster = Cluster(MemoryStore(), *[1] * 9)
    with pytest.raises(TookTooLong, match="goes on"):
        followed(cluster, timeout_s=10)
    assert cluster.deleted == []
    again = Cluster(cluster.store, 3)
    followed(again)
    assert again.submitted == cluster.submitted
