"""Our own rules about nodes, and about which pods get onto them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.cluster.finding import Finding
from darkroom.cluster.pods import DO_NOT_DISRUPT, PodTemplate, all_pods, requested
from darkroom.cluster.quantity import amount
from darkroom.cluster.snapshot import SNAPSHOT_GIB
from darkroom.names import CAPACITY, GPU, NODES, SYSTEM_NODES

Manifests = Sequence[Mapping[str, Any]]
#: What the smallest GPU instance, a g5.xlarge, has for pods.
ALLOCATABLE = {"cpu": "3920m", "memory": "14162Mi"}
#: Of these the DaemonSets of every node take their part: network, proxy, identities, volumes.
_DAEMONS = {"cpu": "250m", "memory": "300Mi"}
_RATES = range(100, 301)
_PINNED = re.compile(r"^bottlerocket@v\d+\.\d+\.\d+$")


def node_classes(manifests: Manifests) -> Iterator[Finding]:
    """Nodes whose images are preloaded, and whose metadata no pod can reach."""
    for manifest in _of_kind(manifests, "EC2NodeClass"):
        spec = manifest["spec"]
        for term in spec.get("amiSelectorTerms", ()):
            if not _PINNED.match(term.get("alias", "")):
                detail = f"{term} is not one release of Bottlerocket: nodes would drift"
                yield Finding.of("bottlerocket-pinned", manifest, detail)
        options = spec.get("metadataOptions") or {}
        if options.get("httpTokens") != "required" or options.get("httpPutResponseHopLimit") != 1:
            yield Finding.of(
                "imds", manifest, "IMDSv2 with hop limit 1 keeps pods off the node's role"
            )
        for mapping in spec.get("blockDeviceMappings", ()):
            for rule, detail in _volume_faults(manifest, mapping.get("ebs") or {}):
                yield Finding.of(rule, manifest, f"{mapping.get('deviceName')}: {detail}")


def _volume_faults(
    manifest: Mapping[str, Any], volume: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    if volume.get("snapshotID") == "":
        yield "empty-snapshot", "an empty snapshotID is an id that EC2 does not know; leave it out"
    if "volumeInitializationRate" in volume:
        rate = volume["volumeInitializationRate"]
        if rate not in _RATES:
            yield "initialization-rate", f"{rate} MiB/s; EBS sells 100 to 300"
    if not volume.get("snapshotID"):
        return
    if manifest["spec"].get("instanceStorePolicy") == "RAID0":
        yield "raid0-hides-snapshot", "RAID0 mounts the instance's disks over the preloaded images"
    size = (manifest["metadata"].get("annotations") or {}).get(SNAPSHOT_GIB)
    if size is None:
        yield (
            "volume-below-snapshot",
            f"how large the snapshot is, the annotation {SNAPSHOT_GIB} says",
        )
    elif amount(volume.get("volumeSize", "0")) < amount(f"{size}Gi"):
        yield "volume-below-snapshot", f"{volume.get('volumeSize')} for a snapshot of {size}Gi"


def do_not_disrupt(manifests: Manifests) -> Iterator[Finding]:
    """On spot it would keep Karpenter from evicting when the two minutes' notice comes."""
    spot = {
        pool["spec"]["template"]["metadata"]["labels"][NODES]
        for pool in _of_kind(manifests, "NodePool")
        if "spot" in _values(pool, CAPACITY)
    }
    for pod in all_pods(manifests):
        if pod.annotations.get(DO_NOT_DISRUPT) == "true" and (
            not pod.node_groups() or pod.node_groups() & spot
        ):
            detail = f"{pod.role}: a spot notice would then kill it without a drain"
            yield Finding.of("do-not-disrupt-on-spot", pod.owner, detail)


def gpu_toleration(manifests: Manifests) -> Iterator[Finding]:
    """GPU nodes are tainted: a pod that wants one has to say so."""
    for pod in all_pods(manifests):
        tolerated = {each.get("key") for each in pod.spec.get("tolerations") or ()}
        if pod.wants_gpu and GPU not in tolerated:
            detail = f"{pod.role}: without a toleration of {GPU} no node ever takes it"
            yield Finding.of("gpu-toleration", pod.owner, detail)


def fits_smallest_node(manifests: Manifests) -> Iterator[Finding]:
    """A GPU worker fits the smallest instance of the pool."""
    for pod in all_pods(manifests):
        if not pod.wants_gpu:
            continue
        for resource, most in ALLOCATABLE.items():
            wanted = sum(amount(requested(each).get(resource, 0)) for each in pod.containers)
            free = amount(most) - amount(_DAEMONS[resource])
            if wanted > free:
                detail = (
                    f"{pod.role}: asks for {_shown(pod, resource)} {resource}; a g5.xlarge has "
                    f"{most} for pods, {_DAEMONS[resource]} of it for DaemonSets"
                )
                yield Finding.of("worker-fits-smallest-node", pod.owner, detail)


def node_group_exists(manifests: Manifests) -> Iterator[Finding]:
    """Each pod says on which group of nodes it runs, and there is one of that name."""
    pools = _of_kind(manifests, "NodePool")
    made = {pool["spec"]["template"]["metadata"]["labels"].get(NODES) for pool in pools}
    # The managed group, which Terraform labels.
    made.add(SYSTEM_NODES)
    for pod in all_pods(manifests):
        groups = pod.node_groups()
        if not groups or not groups <= made:
            wanted = ", ".join(sorted(groups)) or "none"
            detail = f"{pod.role}: selects the node group {wanted}; there are {_listed(made)}"
            yield Finding.of("node-group", pod.owner, detail)


def _shown(pod: PodTemplate, resource: str) -> str:
    return " + ".join(str(requested(each).get(resource, 0)) for each in pod.containers)


def _listed(names: set[Any]) -> str:
    return ", ".join(sorted(map(str, names)))


def _of_kind(manifests: Manifests, kind: str) -> list[Mapping[str, Any]]:
    return [each for each in manifests if each.get("kind") == kind]


def _values(pool: Mapping[str, Any], key: str) -> list[str]:
    requirements = pool["spec"]["template"]["spec"].get("requirements", ())
    return [
        value for each in requirements if each["key"] == key for value in each.get("values", ())
    ]


RULES = (node_classes, do_not_disrupt, gpu_toleration, fits_smallest_node, node_group_exists)
