"""A batch as a RayJob: the runtime's own cluster once more, on spot GPUs, gone when it is done."""

import copy
from collections.abc import Mapping
from typing import Any

from darkroom.names import CAPACITY, COMPONENT, CPU_NODES, GPU, NODES, OURS, RUNTIME
from darkroom.observed import Observed

_ACCOUNT = "batch-job"
#: Seconds between the end of the job and the end of its cluster, if nobody deletes it before.
_TTL_S = 60
#: The driver may be lost with the head; begun again it does what is left.
_BACKOFF = 3


def batch_job(
    service: Observed, *, name: str, runtime: str, prompts: str, outputs: str
) -> dict[str, Any]:
    """The RayJob that works on `prompts`, with images and settings of the RayService.

    Nothing of it differs from the service's cluster but what a batch needs: its own role, a head
    on a node that comes and goes, GPU groups from zero, on spot only.
    """
    cluster = copy.deepcopy(dict(service.document["spec"]["rayClusterConfig"]))
    cluster["enableInTreeAutoscaling"] = True
    for group in cluster.get("workerGroupSpecs", []):
        group["minReplicas"] = 0
        group.pop("replicas", None)
        pod = group["template"]["spec"]
        if _has_gpu(pod):
            pod["nodeSelector"] = {**pod.get("nodeSelector", {}), CAPACITY: "spot"}
    metadata = service.document["metadata"]
    labels = {
        "app.kubernetes.io/name": "darkroom",
        COMPONENT: "batch",
        RUNTIME: runtime,
        **OURS,
    }
    for template in _templates(cluster):
        found = template.setdefault("metadata", {}).setdefault("labels", {})
        found |= labels
        # The one role that may read prompts and write pictures.
        template["spec"]["serviceAccountName"] = _ACCOUNT
    # The system group has room for the heads that are always there, and no more.
    head = cluster["headGroupSpec"]["template"]["spec"]
    head["nodeSelector"] = {**head.get("nodeSelector", {}), NODES: CPU_NODES}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "namespace": metadata.get("namespace"), "labels": labels},
        "spec": {
            "entrypoint": f"python -m serve_app.batch_program {prompts} {outputs} {runtime} --ray",
            # The operator submits it: no pod more, and none that has to reach the dashboard.
            "submissionMode": "HTTPMode",
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": _TTL_S,
            "backoffLimit": _BACKOFF,
            "rayClusterSpec": cluster,
        },
    }


def _templates(cluster: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])]
    return [group["template"] for group in groups]


def _has_gpu(pod: Mapping[str, Any]) -> bool:
    limits = [each.get("resources", {}).get("limits", {}) for each in pod["containers"]]
    return any(GPU in each for each in limits)
