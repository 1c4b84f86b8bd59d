"""Our own rules about RayServices and KEDA's objects: who owns which number."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.cluster.finding import Finding

Manifests = Sequence[Mapping[str, Any]]


def head_serves(manifests: Manifests) -> Iterator[Finding]:
    """With no replica there is no worker: only the head's proxy can take the first request."""
    for manifest in manifests:
        if manifest.get("kind") == "RayService" and manifest["spec"].get(
            "excludeHeadPodFromServeSvc"
        ):
            detail = "excludeHeadPodFromServeSvc leaves the Service without an endpoint at zero"
            yield Finding.of("head-in-serve-service", manifest, detail)


def head_name(manifests: Manifests) -> Iterator[Finding]:
    """KubeRay 1.7 selects a RayService's head by the name that it gives unless we give another."""
    for manifest in manifests:
        if manifest.get("kind") == "RayService":
            head = manifest["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
            if "app.kubernetes.io/name" in head.get("metadata", {}).get("labels", {}):
                detail = "a name of the head's own leaves its Service without an endpoint"
                yield Finding.of("head-in-head-service", manifest, detail)


def token(manifests: Manifests) -> Iterator[Finding]:
    """Without one, who reaches the dashboard can run code."""
    for manifest in manifests:
        if manifest.get("kind") == "RayService":
            options = manifest["spec"]["rayClusterConfig"].get("authOptions") or {}
            if options.get("mode") != "token" or not options.get("secretName"):
                detail = "authOptions must be mode token, with a secretName of ours"
                yield Finding.of("ray-token", manifest, detail)


def owned_fields(manifests: Manifests) -> Iterator[Finding]:
    """What a controller owns stands in no manifest: the next apply would set it back."""
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]
        for each in manifests
        if each.get("kind") == "ScaledObject"
    }
    for manifest in manifests:
        spec, name = manifest.get("spec") or {}, manifest.get("metadata", {}).get("name")
        owned = []
        match manifest.get("kind"):
            case "Deployment" if name in scaled and "replicas" in spec:
                owned.append("replicas is KEDA's")
            case "RayService":
                if "suspend" in spec:
                    owned.append("suspend is deep sleep's")
                owned += [
                    f"replicas of the group {group.get('groupName')} is Ray's autoscaler's"
                    for group in spec["rayClusterConfig"].get("workerGroupSpecs", ())
                    if "replicas" in group
                ]
        for detail in owned:
            yield Finding.of("owned-field", manifest, detail)


def keda_keys(manifests: Manifests) -> Iterator[Finding]:
    """KEDA reads a trigger's options from its metadata and nowhere else."""
    options = {"scaleOnInFlight", "scaleOnDelayed", "queueLength", "activationQueueLength"}
    for manifest in manifests:
        if manifest.get("kind") != "ScaledObject":
            continue
        triggers = manifest["spec"].get("triggers", ())
        astray = (options & set(manifest["spec"])).union(
            *(options & set(each) for each in triggers)
        )
        for key in sorted(astray):
            yield Finding.of("keda-key-astray", manifest, f"{key} has an effect in metadata only")
        for trigger in triggers:
            if trigger.get("metadata", {}).get("scaleOnInFlight") != "true":
                detail = "without scaleOnInFlight a bridge is taken away from the job in its hands"
                yield Finding.of("keda-in-flight", manifest, detail)


def scale_target(manifests: Manifests) -> Iterator[Finding]:
    """What KEDA scales is there."""
    deployments = {
        each["metadata"]["name"] for each in manifests if each.get("kind") == "Deployment"
    }
    for manifest in manifests:
        if manifest.get("kind") == "ScaledObject":
            target = manifest["spec"]["scaleTargetRef"]["name"]
            if target not in deployments:
                yield Finding.of("scale-target", manifest, f"there is no Deployment {target}")


RULES = (head_serves, head_name, token, owned_fields, keda_keys, scale_target)
