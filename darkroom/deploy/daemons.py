"""The images of the DaemonSets that run on a GPU node, as the cluster has them.

EKS chooses the images of its add-ons, in a registry of AWS's own for each region; only the cluster
says which. The digest is what a running pod has: of an index for several architectures it is the
index's, so a pod on the arm64 system node tells that of the amd64 GPU nodes, too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.content import Content
from darkroom.deploy.placement import Place, gpu_places

#: A daemon's image of unknown size: the largest of EKS's add-ons have about as much.
_USUAL_BYTES = 2**28
#: EC2 takes 128 characters for a tag's key, and ours has a prefix.
_NAME_CHARS = 112
_HUB = "docker.io"


@dataclass(frozen=True, kw_only=True)
class Daemons:
    """The DaemonSets of a cluster, as far as GPU nodes get them."""

    cluster: Cluster
    say: Callable[[str], None]
    places: Sequence[Place] = field(default_factory=gpu_places)

    def contents(self) -> list[Content]:
        """Their images, each once; one whose digest nobody knows yet is said and left out."""
        found: dict[tuple[str, str | None], Content] = {}
        for name, container, pods in self._containers():
            content = self._content(name, container, pods)
            if content is None:
                self.say(
                    f"{name}: no pod tells the digest of {container['image']}; it is not in the "
                    "snapshot, and GPU nodes pull it"
                )
            else:
                found.setdefault((content.image, content.also), content)
        return list(found.values())

    def _containers(self) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
        """(name, container, pods that have run it): init containers first, as they start."""
        sets = self.cluster.items("daemonsets")
        on_gpu_nodes = [each for each in sets if self._runs_on_gpu_nodes(each)]
        pods = self.cluster.items("pods") if on_gpu_nodes else []
        for daemon in sorted(on_gpu_nodes, key=_full_name):
            own = [pod for pod in pods if _owned(pod, daemon)]
            for container in _containers_of(daemon["spec"]["template"]["spec"]):
                yield f"{_full_name(daemon)}/{container['name']}"[:_NAME_CHARS], container, own

    def _runs_on_gpu_nodes(self, daemon: Mapping[str, Any]) -> bool:
        spec = daemon["spec"]["template"]["spec"]
        return any(place.may_take(spec) for place in self.places)

    def _content(
        self, name: str, container: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]
    ) -> Content | None:
        repository, tag, digest = _parts(container["image"])
        also = None if digest else f"{repository}:{tag}"
        digest = digest or _running_digest(container, pods, repository)
        if digest is None:
            return None
        image = f"{repository}@{digest}"
        size = self._sizes.get(image, _USUAL_BYTES)
        return Content(name=name, image=image, bytes=size, also=also, ours=False)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Name of each image that a node lists -> its bytes."""
        return {
            name: image["sizeBytes"]
            for node in self.cluster.items("nodes")
            for image in node.get("status", {}).get("images", ())
            for name in image.get("names") or ()
        }


def _full_name(thing: Mapping[str, Any]) -> str:
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def _containers_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*(spec.get("initContainers") or ()), *spec["containers"]]


def _owned(pod: Mapping[str, Any], daemon: Mapping[str, Any]) -> bool:
    owners = [each["uid"] for each in pod["metadata"].get("ownerReferences", ())]
    return daemon["metadata"]["uid"] in owners


def _running_digest(
    container: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], repository: str
) -> str | None:
    """By the newest pod with this very image: since an older one a tag may have moved."""
    name = container["name"]
    newest = sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
    for pod in newest:
        asked = [each["image"] for each in _containers_of(pod["spec"]) if each["name"] == name]
        place, _, digest = _image_id(pod, name).rpartition("://")[2].partition("@")
        # Not one of before an update that is on its way. And containerd may name the same image
        # by another repository, whose digest may be another.
        if asked == [container["image"]] and digest and _parts(place)[0] == repository:
            return digest
    return None


def _image_id(pod: Mapping[str, Any], container: str) -> str:
    told = pod.get("status", {})
    for kind in ("initContainerStatuses", "containerStatuses"):
        for status in told.get(kind) or ():
            if status["name"] == container:
                return str(status.get("imageID", ""))
    return ""


def _parts(image: str) -> tuple[str, str, str | None]:
    """(repository with its registry, tag, digest if it is named) of an image as pods write it."""
    name, _, digest = image.partition("@")
    path, _, tag = name.rpartition(":")
    if not path or "/" in tag:  # no tag: that colon is a port's, or there is none
        path, tag = name, "latest"
    registry, slash, _ = path.partition("/")
    if not slash:
        path = f"{_HUB}/library/{path}"
    elif not {".", ":"} & set(registry) and registry != "localhost":
        path = f"{_HUB}/{path}"
    return path, tag, digest or None
