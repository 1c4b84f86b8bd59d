"""Our own rules about pods."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.cluster.finding import Finding
from darkroom.cluster.images import floats
from darkroom.cluster.pods import PodTemplate, all_pods

Manifests = Sequence[Mapping[str, Any]]
_FORBIDDEN_VOLUMES = frozenset({"hostPath", "nfs", "iscsi"})


def restricted(manifests: Manifests) -> Iterator[Finding]:
    """Pods are what Kubernetes calls restricted, and cannot write to their own image."""
    for pod in all_pods(manifests):
        for what in (*_pod_faults(pod), *_container_faults(pod)):
            yield Finding.of("restricted", pod.owner, f"{pod.role}: {what}")


def _pod_faults(pod: PodTemplate) -> Iterator[str]:
    context = pod.spec.get("securityContext") or {}
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "it may run as root"
    if (context.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        yield "it has no seccomp profile"
    if any(pod.spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "it shares the node's namespaces"
    for volume in pod.spec.get("volumes", ()):
        if _FORBIDDEN_VOLUMES & set(volume):
            yield f"the volume {volume['name']} is of the node"


def _container_faults(pod: PodTemplate) -> Iterator[str]:
    for container in pod.containers:
        context = container.get("securityContext") or {}
        name = container.get("name")
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges"
        if "ALL" not in (context.get("capabilities") or {}).get("drop", ()):
            yield f"{name} keeps capabilities"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write to its image"


def floating_image(manifests: Manifests) -> Iterator[Finding]:
    """An image is the same tomorrow."""
    for pod in all_pods(manifests):
        for container in pod.containers:
            if floats(container.get("image", "")):
                detail = f"{pod.role}: {container.get('image')} has a tag that moves, or none"
                yield Finding.of("floating-image", pod.owner, detail)


def no_ray_stop(manifests: Manifests) -> Iterator[Finding]:
    """`ray stop` before the end kills the job that the drain would wait for."""
    for pod in all_pods(manifests):
        for container in pod.containers:
            hook = (container.get("lifecycle") or {}).get("preStop") or {}
            words = " ".join((hook.get("exec") or {}).get("command", ()))
            if "ray stop" in words:
                detail = f"{pod.role}: preStop runs `ray stop`, which ends jobs in work with a 500"
                yield Finding.of("prestop-ray-stop", pod.owner, detail)


def env_once(manifests: Manifests) -> Iterator[Finding]:
    """No variable stands twice: server-side apply refuses that, others take the last."""
    for pod in all_pods(manifests):
        for container in pod.containers:
            names = Counter(each["name"] for each in container.get("env", ()))
            for name in (name for name, times in names.items() if times > 1):
                yield Finding.of("env-twice", pod.owner, f"{pod.role}: {name} is there twice")


RULES = (restricted, floating_image, no_ray_stop, env_once)
