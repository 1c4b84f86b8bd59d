"""The scenario of tests/integration/test_autoscaling.py with the real KEDA, KubeRay and Karpenter.

`make e2e-cluster CONTEXT=...`; it takes as long as nodes take to come and to go.
"""

import time

import pytest
from kubernetes import client

from darkroom.names import NAMESPACE
from jobs.status import Status
from tests.cluster.conftest import refuse

RUNTIME = "demo"
JOBS = 50
#: Seconds until everything is gone again: cooldown, idle times, and a node's end.
PATIENCE_S = 1800
CLUSTERS = ("ray.io", "v1", NAMESPACE, "rayclusters")


def worker_orders(api):
    """The workers that Ray's autoscaler has ordered, over all groups."""
    found = client.CustomObjectsApi(api).list_namespaced_custom_object(*CLUSTERS)
    groups = [
        group
        for cluster in found["items"]
        if cluster["metadata"].get("labels", {}).get("darkroom/runtime") == RUNTIME
        or cluster["metadata"]["name"].startswith(f"{RUNTIME}-")
        for group in cluster["spec"].get("workerGroupSpecs", [])
    ]
    return sum(group.get("replicas") or 0 for group in groups), sum(
        group.get("maxReplicas") or 0 for group in groups
    )


def until(condition):
    """Ask again and again; what it said in the end."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := condition()):
        assert time.monotonic() < end
        time.sleep(1)
    return answer


def test_a_burst_brings_all_workers_in_one_order(cluster_api, workloads, kuberay, jobs_api):
    """From nothing to all that the queue is worth, and back."""
    until(lambda: not workloads.worker_pods(RUNTIME))
    assert workloads.replicas_wanted(f"bridge-{RUNTIME}") == 0
    assert kuberay.service(RUNTIME).ready

    posted = [
        jobs_api.submit({"runtime": RUNTIME, "input": {"prompt": "a red circle", "seed": seed}})
        for seed in range(JOBS)
    ]
    first, most = until(lambda: (orders := worker_orders(cluster_api))[0] and orders)
    assert first > 1 or most == 1

    ended = [jobs_api.watch(each.uid, timeout_s=PATIENCE_S) for each in posted]
    assert {list(views)[-1].status for views in ended} == {Status.SUCCEEDED}

    until(lambda: not workloads.worker_pods(RUNTIME))
    until(lambda: workloads.replicas_wanted(f"bridge-{RUNTIME}") == 0)
    gpus = "nvidia.com/gpu"
    until(lambda: not [n for n in workloads.nodes() if n["status"]["allocatable"].get(gpus)])


@pytest.mark.parametrize("labels", [None, {}, {"darkroom.test": "false"}])
def test_a_namespace_that_is_not_for_tests_is_refused(labels):
    """Whatever else it is called."""
    namespace = client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE, labels=labels))
    with pytest.raises(pytest.fail.Exception, match=r"darkroom\.test=true"):
        refuse(namespace)


def test_a_namespace_for_tests_is_not():
    """The label is the permission."""
    labels = {"darkroom.test": "true"}
    refuse(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE, labels=labels)))
