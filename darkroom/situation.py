"""How a runtime is: what there is of everything that scales, what is pending, and why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from darkroom.names import CAPACITY, COMPONENT, GPU, RAY_WORKER
from darkroom.observed import Observed
from darkroom.serve_state import Deployment

_INSTANCE = "node.kubernetes.io/instance-type"
Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One runtime at one moment. What could not be asked is in `silent`, by name."""

    runtime: str
    #: Messages: visible, and in flight or delayed.
    queue: tuple[int, int] | None = None
    service: Observed | None = None
    bridges_wanted: int | None = None
    deployments: Sequence[Deployment] = ()
    pods: Sequence[Document] | None = None
    nodes: Sequence[Document] | None = None
    warnings: Sequence[Document] = ()
    silent: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        """The screen: what, and how it is."""
        rows = [("runtime", self.runtime)]
        if self.queue is not None:
            rows.append(("queue", f"{self.queue[0]} waiting, {self.queue[1]} in work"))
        if self.bridges_wanted is not None:
            ready = sum(_ready(pod) for pod in self._pods("bridge"))
            rows.append(("bridge", f"{ready} of {self.bridges_wanted} ready"))
        if self.service is not None:
            rows.append(("service", _service(self.service)))
        rows += [(f"serve {each.name}", _replicas(each)) for each in self.deployments]
        if self.pods is not None:
            phases = Counter(pod["status"]["phase"].lower() for pod in self._workers())
            rows.append(("workers", _counted(phases)))
        if self.nodes is not None:
            rows.append(("nodes", _counted(Counter(map(_kind, self.nodes)))))
        rows += [("not known", f"{name}: {why}") for name, why in self.silent.items()]
        pending = list(self.pending())
        rows += [("pending", f"{what}: {why}") for what, why in pending]
        return rows

    def pending(self) -> Iterator[tuple[str, str]]:
        """What is not as it is to be, and why."""
        if self.service is not None and not self.service.ready and not self.service.suspended:
            yield "service", _said(self.service) or "its controller has said nothing yet"
        for each in self.deployments:
            running = each.replicas.get("RUNNING", 0)
            if running < each.wanted:
                yield f"serve {each.name}", each.message or f"{each.wanted - running} to start"
        for pod in self.pods or ():
            if not _ready(pod) and pod["status"]["phase"] in ("Pending", "Running"):
                yield pod["metadata"]["name"], self._why(pod)

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "runtime": self.runtime,
            "rows": dict(self.rows()),
            "pending": [{"what": what, "why": why} for what, why in self.pending()],
            "silent": dict(self.silent),
        }

    def _pods(self, component: str) -> list[Document]:
        return [pod for pod in self.pods or () if _labels(pod).get(COMPONENT) == component]

    def _workers(self) -> list[Document]:
        return self._pods(RAY_WORKER)

    def _why(self, pod: Document) -> str:
        """Why a pod is not ready: its placement, its containers, what others say of it."""
        name = pod["metadata"]["name"]
        if (reason := unplaced(pod)) is not None:
            # Karpenter tells of nodes that do not come in an event about the pod.
            return " · ".join([reason, *self._events(name)])
        for container in pod["status"].get("containerStatuses", ()):
            if waiting := container.get("state", {}).get("waiting"):
                reason = waiting.get("reason", "waiting")
                return f"{reason} {waiting.get('message', '')}".strip()
        return " · ".join(self._events(name)) or "starting"

    def _events(self, name: str) -> list[str]:
        """The last warning about the pod that did not come from the scheduler."""
        said = [
            f"{each['reason']} {each['message']}"
            for each in self.warnings
            if each["involvedObject"].get("name") == name and each["reason"] != "FailedScheduling"
        ]
        return said[-1:]


def unplaced(pod: Document) -> str | None:
    """Why it has no node, if the scheduler has found none."""
    for each in pod["status"].get("conditions", ()):
        if each["type"] == "PodScheduled" and each["status"] == "False":
            return str(each.get("message", "not placed"))
    return None


def _labels(document: Document) -> Mapping[str, str]:
    found: Mapping[str, str] = document["metadata"].get("labels") or {}
    return found


def _ready(pod: Document) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _service(service: Observed) -> str:
    if service.condition("Suspended"):
        return "asleep"
    if service.suspended:
        return "falling asleep"
    return "ready" if service.ready else "not ready"


def _said(service: Observed) -> str:
    conditions = service.status.get("conditions", ())
    return "; ".join(each["message"] for each in conditions if each.get("message"))


def _replicas(deployment: Deployment) -> str:
    states = _counted(Counter({k.lower(): n for k, n in deployment.replicas.items()}))
    return f"{states}, {deployment.wanted} wanted ({deployment.status.lower()})"


def _kind(node: Document) -> str:
    """As people speak of nodes: what with, of which type, how paid."""
    gpus = int(node["status"].get("allocatable", {}).get(GPU, 0))
    labels = _labels(node)
    words = ["GPU" if gpus else "CPU", labels.get(_INSTANCE, ""), labels.get(CAPACITY, "")]
    return " ".join(word for word in words if word)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(counts.items())) or "none"
