"""What runs in the namespace: deployments, pods, the nodes that they are on, what KEDA has seen."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kubernetes import client

from darkroom.kuberay import translated
from darkroom.names import COMPONENT, RAY_WORKER, RUNTIME

#: Seconds for one call.
_CALL_S = 10


class Workloads:
    """Reads what Kubernetes and KEDA know; writes nothing."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api = api
        self._core = client.CoreV1Api(api)
        self._apps = client.AppsV1Api(api)
        self._objects = client.CustomObjectsApi(api)
        self._namespace = namespace

    def replicas_wanted(self, deployment: str) -> int:
        """What the Deployment is to have: not what runs, which comes later."""
        with translated(f"reading deployments/{deployment}"):
            found = self._apps.read_namespaced_deployment(
                deployment, self._namespace, _request_timeout=_CALL_S
            )
        return int(found.spec.replicas or 0)

    def worker_pods(self, runtime: str) -> list[dict[str, Any]]:
        """The runtime's Ray workers, as documents."""
        return [pod for pod in self.pods(runtime) if _label(pod, COMPONENT) == RAY_WORKER]

    def pods(self, runtime: str) -> list[dict[str, Any]]:
        """All pods of one runtime, as documents."""
        selector = f"{RUNTIME}={runtime}"
        with translated("listing pods"):
            found = self._core.list_namespaced_pod(
                self._namespace, label_selector=selector, _request_timeout=_CALL_S
            )
        return self._documents(found.items)

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes, as documents."""
        with translated("listing nodes"):
            found = self._core.list_node(_request_timeout=_CALL_S)
        return self._documents(found.items)

    def warnings(self) -> list[dict[str, Any]]:
        """Events that warn: why a pod is not placed, why a node does not come."""
        with translated("listing events"):
            found = self._core.list_namespaced_event(
                self._namespace, field_selector="type=Warning", _request_timeout=_CALL_S
            )
        return self._documents(found.items)

    def last_active(self, scaled_object: str) -> datetime | None:
        """When KEDA last saw messages; None if it never has."""
        with translated(f"reading scaledobjects/{scaled_object}"):
            found: Mapping[str, Any] = self._objects.get_namespaced_custom_object(
                "keda.sh",
                "v1alpha1",
                self._namespace,
                "scaledobjects",
                scaled_object,
                _request_timeout=_CALL_S,
            )
        text = found.get("status", {}).get("lastActiveTime")
        return datetime.fromisoformat(text) if text else None

    def _documents(self, items: list[Any]) -> list[dict[str, Any]]:
        documents: list[dict[str, Any]] = self._api.sanitize_for_serialization(items)
        return documents


def _label(document: Mapping[str, Any], name: str) -> str | None:
    found: str | None = document["metadata"].get("labels", {}).get(name)
    return found
