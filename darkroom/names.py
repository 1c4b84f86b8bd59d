"""What things are called on the cluster: by the manifests, by who reads them back, by checks."""

NAMESPACE = "darkroom"
#: Of server-side apply: who owns the fields that the manifests have.
FIELD_MANAGER = "darkroom"
OVERLAYS = ("dev", "prod")
#: Labels: what a pod does, that it is of ours, and of which runtime.
COMPONENT = "app.kubernetes.io/component"
OURS = {"app.kubernetes.io/part-of": "darkroom"}
RUNTIME = "darkroom/runtime"
#: Of what only a load balancer needs: `internal` or `public`.
EXPOSURE = "darkroom/exposure"
EXPOSURES = ("none", "internal", "public")
#: Components of a Ray cluster; a batch's pods have another, beside KubeRay's own labels.
RAY_HEAD, RAY_WORKER = "ray-head", "ray-worker"
#: A node's label, and its values: always there, for bridges and heads, with GPUs.
NODES = "darkroom/nodes"
SYSTEM_NODES, CPU_NODES, GPU_NODES = "system", "cpu", "gpu"
#: Karpenter's label: spot or on-demand.
CAPACITY = "karpenter.sh/capacity-type"
#: The resource, and the taint of nodes that have it.
GPU = "nvidia.com/gpu"


def queues_of(runtime: str) -> tuple[str, str]:
    """A runtime's queues: of the jobs that somebody waits for, and of the others."""
    return runtime, f"{runtime}-batch"


def bridges_of(runtime: str) -> tuple[str, str]:
    """The Deployments, and ScaledObjects, of their bridges."""
    first, batch = queues_of(runtime)
    return f"bridge-{first}", f"bridge-{batch}"


def discovery_tag(installation: str) -> str:
    """Of the subnets and the security group that its nodes, Karpenter's and ours, are put into."""
    return f"karpenter.sh/discovery/{installation}"
