"""Our KubeRay client against a real API server. Its controller is played by the tests."""

import threading
from functools import partial

import pytest
from kubernetes import client

from darkroom.errors import ClusterError, Conflict, NotInCluster, TookTooLong
from darkroom.kuberay import GROUP, JOBS, SERVICES, VERSION, KubeRay
from darkroom.names import NAMESPACE

CONTAINER = {"name": "ray", "image": "example/ray:1"}
CLUSTER = {
    "rayVersion": "2.60.0",
    "headGroupSpec": {
        "rayStartParams": {},
        "template": {"spec": {"containers": [CONTAINER]}},
    },
}


@pytest.fixture
def kuberay(api):
    """Our client."""
    return KubeRay(api, NAMESPACE)


@pytest.fixture
def name(request, kuberay):
    """A RayService of this test's own."""
    name = request.node.name.replace("_", "-")[:60].strip("-")
    kuberay.apply(SERVICES, service(name))
    return name


def service(name, **spec):
    """A RayService as our manifests have it: without `suspend`."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "RayService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"rayClusterConfig": CLUSTER, "serveConfigV2": "applications: []", **spec},
    }


def job(name):
    """A RayJob."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "RayJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"entrypoint": "true", "rayClusterSpec": CLUSTER},
    }


def say(api, plural, name, **status):
    """Write the status, as KubeRay does."""
    objects = client.CustomObjectsApi(api)
    objects.patch_namespaced_custom_object_status(
        GROUP, VERSION, NAMESPACE, plural, name, {"status": status}
    )


def condition(kind, *, value="True", generation=1):
    """A condition as KubeRay writes it."""
    return {
        "type": kind,
        "status": value,
        "reason": "Told",
        "message": "as told",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }


def test_a_service_is_suspended_and_resumed(kuberay, name):
    """The field is written, and nothing else of the spec changes."""
    before = kuberay.service(name)
    asleep = kuberay.suspend(before)
    assert asleep.suspended
    awake = kuberay.resume(asleep)
    assert not awake.suspended
    spec = dict(awake.document["spec"])
    assert spec.pop("suspend") is False
    assert spec == before.document["spec"]


def test_who_decided_on_an_old_reading_is_refused(kuberay, name):
    """The sleeper read, a bridge wrote: 409, and the service stays awake."""
    seen = kuberay.service(name)
    kuberay.resume(seen)
    with pytest.raises(Conflict, match="409"):
        kuberay.suspend(seen)
    assert not kuberay.service(name).suspended


def test_applying_the_manifest_again_leaves_a_suspended_service_suspended(kuberay, name):
    """The manifest does not own the field, and must not."""
    kuberay.suspend(kuberay.service(name))
    assert kuberay.apply(SERVICES, service(name)).suspended


def test_a_manifest_that_wants_the_field_is_a_conflict(kuberay, name):
    """One owner per field: the API server names the other."""
    kuberay.suspend(kuberay.service(name))
    with pytest.raises(Conflict, match="darkroom-sleep"):
        kuberay.apply(SERVICES, service(name, suspend=False))


def test_a_field_that_does_not_exist_is_refused(kuberay):
    """Strict validation is the server's; we hand on what it says."""
    with pytest.raises(ClusterError, match="suspendd"):
        kuberay.apply(SERVICES, service("typo", suspendd=True))


def test_what_is_not_there_is_named(kuberay):
    """By kind and name."""
    with pytest.raises(NotInCluster, match="rayservices/nobody"):
        kuberay.service("nobody")


def test_ready_is_believed_of_this_generation_only(api, kuberay, name):
    """`Ready` of before the suspension says nothing of after it."""
    say(api, SERVICES, name, conditions=[condition("Ready")])
    assert kuberay.service(name).ready
    awake = kuberay.resume(kuberay.suspend(kuberay.service(name)))
    assert not awake.ready
    say(api, SERVICES, name, conditions=[condition("Ready", generation=awake.generation)])
    assert kuberay.wait_ready(name, timeout_s=5).ready


def test_waiting_sees_the_change_when_it_happens(api, kuberay, name):
    """By a watch, begun before the change."""
    ready = partial(say, api, SERVICES, name, conditions=[condition("Ready")])
    timer = threading.Timer(1.0, ready)
    timer.start()
    assert kuberay.wait_ready(name, timeout_s=30).ready
    timer.join()


def test_waiting_in_vain_says_what_there_is(api, kuberay, name):
    """The conditions, for a person to read."""
    say(api, SERVICES, name, conditions=[condition("Ready", value="False")])
    with pytest.raises(TookTooLong, match="Ready=False as told"):
        kuberay.wait_ready(name, timeout_s=1)


def test_what_is_deleted_while_somebody_waits_ends_the_wait(api, kuberay, name):
    """Nothing more will come."""
    objects = client.CustomObjectsApi(api)
    delete = partial(
        objects.delete_namespaced_custom_object, GROUP, VERSION, NAMESPACE, SERVICES, name
    )
    timer = threading.Timer(1.0, delete)
    timer.start()
    with pytest.raises(NotInCluster):
        kuberay.wait_ready(name, timeout_s=30)
    timer.join()


def test_a_job_submitted_twice_is_one_job(api, kuberay):
    """Submitted, waited for, deleted; deleting again is nothing."""
    first = kuberay.submit_job(job("batch-1"))
    assert (
        kuberay.submit_job(job("batch-1")).document["metadata"]["uid"]
        == (first.document["metadata"]["uid"])
    )
    say(api, JOBS, "batch-1", jobDeploymentStatus="Complete", jobStatus="SUCCEEDED")
    assert kuberay.wait_job("batch-1", timeout_s=5).status["jobStatus"] == "SUCCEEDED"
    kuberay.delete_job("batch-1")
    kuberay.delete_job("batch-1")


def test_a_server_that_is_gone_is_an_error_of_ours():
    """No exception of the client's library leaves the module."""
    nowhere = client.Configuration(host="http://127.0.0.1:1")
    nowhere.retries = 0
    with pytest.raises(ClusterError, match="rayservices/demo"):
        KubeRay(client.ApiClient(nowhere), NAMESPACE).service("demo")
