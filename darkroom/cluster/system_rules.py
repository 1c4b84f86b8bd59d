"""Our own rules about how objects refer to each other, and about what may stay awake."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.cluster.finding import Finding
from darkroom.cluster.pods import all_pods, pods_of
from darkroom.names import COMPONENT, CPU_NODES, RAY_HEAD, RAY_WORKER, SYSTEM_NODES

Manifests = Sequence[Mapping[str, Any]]
#: What is there, or comes by a clock, while nothing is asked of the system.
_IDLE = frozenset({RAY_HEAD, "ui", "webhook-worker", "sweeper", "dead-letter-worker", "deep-sleep"})
#: Pods that no manifest makes: `darkroom batch` does.
_ELSEWHERE = ({COMPONENT: "batch"},)
#: Labels that KubeRay gives to pods by itself.
_BY_KUBERAY = frozenset({"ray.io/serve"})


def selectors(manifests: Manifests) -> Iterator[Finding]:
    """Whatever selects pods finds some."""
    labels = [dict(pod.labels) for pod in all_pods(manifests)] + list(_ELSEWHERE)
    for manifest in manifests:
        spec = manifest.get("spec") or {}
        match manifest.get("kind"):
            case "Deployment":
                own = [dict(pod.labels) for pod in pods_of(manifest)]
                yield from _unmatched(manifest, spec["selector"].get("matchLabels", {}), own)
            case "Service":
                yield from _unmatched(manifest, spec.get("selector") or {}, labels)
            case "PodDisruptionBudget":
                yield from _unmatched(manifest, spec["selector"].get("matchLabels", {}), labels)
            case "NetworkPolicy":
                yield from _unmatched(manifest, spec["podSelector"].get("matchLabels", {}), labels)


def _unmatched(
    manifest: Mapping[str, Any], selector: Mapping[str, str], labels: Sequence[Mapping[str, str]]
) -> Iterator[Finding]:
    ours = {(key, value) for key, value in selector.items() if key not in _BY_KUBERAY}
    if not any(ours <= each.items() for each in labels):
        wanted = ", ".join(f"{key}={value}" for key, value in selector.items())
        yield Finding.of("selector-matches", manifest, f"no pod has the labels {wanted}")


def volume_handles(manifests: Manifests) -> Iterator[Finding]:
    """Two volumes with one handle are one mount: the second claim never gets ready."""
    volumes = [each for each in manifests if each.get("kind") == "PersistentVolume"]
    handles = Counter((each["spec"].get("csi") or {}).get("volumeHandle") for each in volumes)
    for volume in volumes:
        handle = (volume["spec"].get("csi") or {}).get("volumeHandle")
        if handle and handles[handle] > 1:
            detail = f"{handle} is the handle of {handles[handle]} volumes"
            yield Finding.of("unique-volume-handle", volume, detail)


def system_group(manifests: Manifests) -> Iterator[Finding]:
    """What idles does so on the nodes that are always there: a tick never starts one."""
    sleeping = any(
        each.get("metadata", {}).get("name", "").startswith("deep-sleep-") for each in manifests
    )
    for pod in all_pods(manifests):
        component = pod.labels.get(COMPONENT)
        if component not in _IDLE or pod.node_groups() == {SYSTEM_NODES}:
            continue
        # A head that sleeps leaves its node behind; only that makes one worth its while.
        if component == RAY_HEAD and sleeping and pod.node_groups() == {CPU_NODES}:
            continue
        detail = f"{pod.role}: idles, and does not select the system group"
        yield Finding.of("system-group", pod.owner, detail)


def budgets(manifests: Manifests) -> Iterator[Finding]:
    """GPU workers have no budget: it would hold the drain back that saves their jobs."""
    workers = [pod for pod in all_pods(manifests) if pod.labels.get(COMPONENT) == RAY_WORKER]
    for manifest in manifests:
        if manifest.get("kind") == "PodDisruptionBudget":
            selector = manifest["spec"]["selector"].get("matchLabels", {})
            if any(selector.items() <= pod.labels.items() for pod in workers):
                yield Finding.of("no-budget-on-workers", manifest, "it selects Ray workers")


RULES = (selectors, volume_handles, system_group, budgets)
