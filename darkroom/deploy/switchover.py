"""What serves is what was applied: the new Ray is waited for, and gets room if there is none.

A change makes KubeRay start a second cluster beside the first one, which stays `Ready` all the
while (ray-project/kuberay 1.7, rayservice_controller.go). Whoever looks only at that tests the
old release; and a second head that finds no node would never take over.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.errors import NotReady
from darkroom.names import COMPONENT, NAMESPACE, RAY_HEAD, RUNTIME
from darkroom.observed import Observed
from darkroom.situation import Document, Situation, unplaced

#: Longer than an image of 2 GB takes to the first node that pulls it.
_LIMIT_S = 900
_LOOK_S = 5
#: A head that is not placed by then stays so: no NodePool makes system nodes.
_CROWDED_S = 60


def rayservices(cluster: Cluster) -> dict[str, Observed]:
    """All of them as they are now, by name."""
    found = cluster.items("rayservices", namespace=NAMESPACE)
    return {each["metadata"]["name"]: Observed(document=each) for each in found}


def suspend(cluster: Cluster, name: str, *, wanted: bool) -> None:
    """Put a RayService to sleep, or wake it: KubeRay does so, some time later."""
    patch = json.dumps({"spec": {"suspend": wanted}})
    cluster.kubectl(
        "patch", "-n", NAMESPACE, f"rayservice/{name}", "--type=merge", "--patch", patch
    )


@dataclass(frozen=True, kw_only=True)
class Switchover:
    """Waits for RayServices after an apply."""

    cluster: Cluster
    say: Callable[[str], None]
    sleep: Callable[[float], None]

    def wait(self, names: Sequence[str]) -> None:
        """Until each of them serves what was applied; `NotReady` says what is in the way."""
        crowded, gone = dict.fromkeys(names, 0), set[str]()
        looks = 0
        while looks < _LIMIT_S // _LOOK_S:
            looks += 1
            services = rayservices(self.cluster)
            waiting = [
                name
                for name in names
                # Deep sleep may have come to one that was ready.
                if not services[name].settled and (name in gone or not services[name].suspended)
            ]
            if not waiting:
                return
            pods = self.cluster.items("pods", namespace=NAMESPACE)
            for name in waiting:
                lacks_room = _lacks_room(services[name], pods)
                crowded[name] = crowded[name] + 1 if lacks_room else 0
                if name in gone and services[name].suspended:
                    self._wake(services[name], name)
                elif crowded[name] * _LOOK_S >= _CROWDED_S:
                    self._make_room(name)
                    # From here on it takes what a first start takes; but not for ever.
                    looks, crowded[name] = looks if name in gone else 0, 0
                    gone.add(name)
            self.sleep(_LOOK_S)
        reasons = [f"{name}: {_in_the_way(services[name], name, pods)}" for name in waiting]
        raise NotReady(f"not ready after {_LIMIT_S // 60} minutes: {'; '.join(reasons)}")

    def _make_room(self, name: str) -> None:
        """Have the old cluster go before the new one comes, by way of sleep."""
        self.say(
            f"{name}: no node has room for a second Ray head, so the old one goes first. Jobs "
            "wait in their queue meanwhile; what is in work begins again. Should this be stopped "
            "now, the same command goes on"
        )
        suspend(self.cluster, name, wanted=True)

    def _wake(self, service: Observed, name: str) -> None:
        # Not before: the wish to sleep would be gone before KubeRay has seen it.
        if service.condition("Suspended"):
            suspend(self.cluster, name, wanted=False)


def _lacks_room(service: Observed, pods: Sequence[Document]) -> bool:
    """Whether the head of its second cluster finds no node, while the first one is there."""
    pending = service.status.get("pendingServiceStatus", {}).get("rayClusterName")
    heads = [
        pod
        for pod in pods
        if (labels := pod["metadata"].get("labels", {})).get("ray.io/cluster") == pending
        and labels.get(COMPONENT) == RAY_HEAD
    ]
    return service.condition("UpgradeInProgress") and any(map(unplaced, heads))


def _in_the_way(service: Observed, name: str, pods: Sequence[Document]) -> str:
    own = [pod for pod in pods if pod["metadata"].get("labels", {}).get(RUNTIME) == name]
    found = Situation(runtime=name, service=service, pods=own).pending()
    return ", ".join(f"{what}: {why}" for what, why in found) or "its new cluster is not there yet"
