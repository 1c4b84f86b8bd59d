"""A real cluster, named by CONTEXT, and only one that says of itself that it is for tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from client.client import Client
from darkroom.kuberay import KubeRay
from darkroom.names import NAMESPACE
from darkroom.workloads import Workloads

LABEL = "darkroom.test"


def refuse(namespace: client.V1Namespace) -> None:
    """Fail unless the namespace is labelled: a burst costs money, and mixes with people's jobs."""
    if (namespace.metadata.labels or {}).get(LABEL) != "true":
        pytest.fail(f"the namespace {namespace.metadata.name} lacks the label {LABEL}=true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder has a make target of its own: `make e2e-cluster CONTEXT=...`."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and "cluster_api" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def cluster_api() -> Iterator[client.ApiClient]:
    """A connection to the cluster."""
    context = os.environ.get("CONTEXT")
    if not context:
        pytest.skip("cluster: CONTEXT names none")
    loaded = client.Configuration()
    config.load_kube_config(context=context, client_configuration=loaded)
    with client.ApiClient(loaded) as api:
        refuse(client.CoreV1Api(api).read_namespace(NAMESPACE))
        yield api


@pytest.fixture
def workloads(cluster_api: client.ApiClient) -> Workloads:
    """Pods, nodes, deployments."""
    return Workloads(cluster_api, NAMESPACE)


@pytest.fixture
def kuberay(cluster_api: client.ApiClient) -> KubeRay:
    """RayServices."""
    return KubeRay(cluster_api, NAMESPACE)


@pytest.fixture
def jobs_api() -> Iterator[Client]:
    """The deployed API, by DARKROOM_API_URL and DARKROOM_API_KEY."""
    with Client(os.environ["DARKROOM_API_URL"], api_key=os.environ["DARKROOM_API_KEY"]) as api:
        yield api
