"""The nodes on which jobs are done, as kubectl sees them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from darkroom.deploy.cluster import Cluster
from darkroom.names import COMPONENT, NAMESPACE, NODES, RAY_WORKER

_EVER = datetime.min.replace(tzinfo=UTC)
_GONE = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, kw_only=True)
class ClusterNodes:
    """The nodes of one kind of one cluster."""

    cluster: Cluster
    #: GPU_NODES or CPU_NODES.
    kind: str

    def left(self) -> list[str]:
        """Names of those that are there for jobs, or for nothing."""
        # Whatever else of ours is on a node (a head, a bridge, a batch) keeps it for its own sake.
        kept = {pod["spec"].get("nodeName") for pod in self._pods() if not _is_worker(pod)}
        return [name for name in self._names() if name not in kept]

    def pulled(self, since: datetime) -> list[str]:
        """Images that younger nodes pulled."""
        return self._images("Successfully pulled", since)

    def cached(self, since: datetime) -> list[str]:
        """Images that were on younger nodes when a pod asked for them."""
        return self._images("already present", since)

    def _names(self, since: datetime = _EVER) -> list[str]:
        nodes = [node["metadata"] for node in self.cluster.items("nodes")]
        return [
            node["name"]
            for node in nodes
            if node.get("labels", {}).get(NODES) == self.kind
            and datetime.fromisoformat(node["creationTimestamp"]) >= since
        ]

    def _pods(self) -> list[dict[str, Any]]:
        pods = self.cluster.items("pods", namespace=NAMESPACE)
        return [pod for pod in pods if pod.get("status", {}).get("phase") not in _GONE]

    def _images(self, word: str, since: datetime) -> list[str]:
        """Of the kubelet's events, which are there for an hour."""
        nodes = set(self._names(since))
        return [
            event["message"].partition('"')[2].partition('"')[0]
            for event in self.cluster.items("events", namespace=NAMESPACE)
            if event.get("reason") == "Pulled"
            and event.get("source", {}).get("host") in nodes
            and word in event["message"]
        ]


def _is_worker(pod: dict[str, Any]) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(COMPONENT) == RAY_WORKER)
