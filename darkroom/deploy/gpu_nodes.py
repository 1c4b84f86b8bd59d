"""GPU nodes as kubectl sees them."""

from dataclasses import dataclass

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.smoke import Nodes
from darkroom.names import GPU_NODES, NAMESPACE, NODES


@dataclass(frozen=True)
class ClusterNodes(Nodes):
    """The nodes of one cluster."""

    cluster: Cluster

    def gpu(self) -> list[str]:
        return [
            node["metadata"]["name"]
            for node in self.cluster.items("nodes")
            if node["metadata"].get("labels", {}).get(NODES) == GPU_NODES
        ]

    def pulled(self) -> list[str]:
        return self._images("Successfully pulled")

    def cached(self) -> list[str]:
        return self._images("already present")

    def _images(self, word: str) -> list[str]:
        """Of the kubelet's events, which are there for an hour."""
        nodes = set(self.gpu())
        return [
            event["message"].partition('"')[2].partition('"')[0]
            for event in self.cluster.items("events", namespace=NAMESPACE)
            if event.get("reason") == "Pulled"
            and event.get("source", {}).get("host") in nodes
            and word in event["message"]
        ]
