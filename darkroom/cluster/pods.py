"""The pods that an object makes, wherever in it their templates are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.names import GPU, NODES

DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"


@dataclass(frozen=True)
class PodTemplate:
    """A pod's metadata and spec, and which part of its object it is."""

    owner: Mapping[str, Any]
    role: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def labels(self) -> Mapping[str, str]:
        return self.metadata.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.metadata.get("annotations") or {}

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        """All of them, the first ones included."""
        return [*self.spec.get("initContainers", ()), *self.spec.get("containers", ())]

    @property
    def wants_gpu(self) -> bool:
        return any(GPU in requested(container) for container in self.containers)

    def node_groups(self) -> frozenset[str]:
        """The groups of nodes that it may run on; empty: on any."""
        selected = (self.spec.get("nodeSelector") or {}).get(NODES)
        if selected:
            return frozenset([selected])
        node = (self.spec.get("affinity") or {}).get("nodeAffinity") or {}
        terms = node.get("requiredDuringSchedulingIgnoredDuringExecution", {})
        return frozenset(
            value
            for term in terms.get("nodeSelectorTerms", ())
            for expression in term.get("matchExpressions", ())
            if expression["key"] == NODES and expression["operator"] == "In"
            for value in expression["values"]
        )


def requested(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a container asks for: a limit counts where no request says less."""
    resources = container.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def pods_of(manifest: Mapping[str, Any]) -> Iterator[PodTemplate]:
    """The templates of all pods that `manifest` makes."""
    spec = manifest.get("spec") or {}
    match manifest.get("kind"):
        case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
            yield _template(manifest, "pod", spec)
        case "CronJob":
            yield _template(manifest, "pod", spec["jobTemplate"]["spec"])
        case "Pod":
            yield PodTemplate(manifest, "pod", manifest["metadata"], spec)
        case "RayService" | "RayJob" | "RayCluster":
            cluster = spec.get("rayClusterConfig") or spec.get("rayClusterSpec") or spec
            yield _template(manifest, "head", cluster["headGroupSpec"])
            for group in cluster.get("workerGroupSpecs", ()):
                yield _template(manifest, f"worker {group['groupName']}", group)
            if "submitterPodTemplate" in spec:
                yield _template(manifest, "submitter", {"template": spec["submitterPodTemplate"]})


def all_pods(manifests: Sequence[Mapping[str, Any]]) -> Iterator[PodTemplate]:
    """Those of all objects."""
    for manifest in manifests:
        yield from pods_of(manifest)


def _template(owner: Mapping[str, Any], role: str, holder: Mapping[str, Any]) -> PodTemplate:
    template = holder["template"]
    return PodTemplate(owner, role, template.get("metadata") or {}, template["spec"])
