"""The snapshot that GPU nodes start from, among the steps.

It comes when Terraform has made the cluster with EKS's add-ons, and before the operators. That is
late enough: every DaemonSet that runs on a GPU node is one of an add-on (network, kube-proxy, Pod
Identity, S3's driver). Our operators bring none, our manifests have none, and Bottlerocket's NVIDIA
variant has the device plugin in itself. One that somebody adds later is found by the next build.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.cluster.images import Images
from darkroom.cluster.snapshot import resolve
from darkroom.deploy.content import Content
from darkroom.deploy.snapshot_build import SnapshotBuilder, bottlerocket_version
from darkroom.deploy.step import Standing
from darkroom.deploy.wanted import MODULE, Wanted
from records.errors import translated

_VERSION = re.compile(r'variable "kubernetes_version" \{.*?default\s+= "([\d.]+)"', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class NodeSnapshot:
    """Given, found by its digests, or built if that was asked for; none is none."""

    wanted: Wanted
    ec2: Any
    ssm: Any
    #: The file of images.
    images: Path
    contents: Callable[[Images], Sequence[Content]]
    say: Callable[[str], None]

    name = "snapshot of the images"
    takes = "15 to 30 minutes to build one"

    def check(self) -> Standing:
        """Whether nodes have one to start from, or shall have none."""
        images = Images.from_file(self.images, digests_only=True)
        found = resolve(self.ec2, given=self.wanted.snapshot, images=images.on_gpu_nodes())
        if found is not None and not self.wanted.build_snapshot:
            return Standing(done=True, says=f"{found.id}, {found.size_gib} GiB")
        if not self.wanted.build_snapshot:
            return Standing(
                done=True, says="none: nodes pull their images, a minute more (--build-snapshot)"
            )
        kept = self._builder().existing(self.contents(images))
        return Standing(done=kept is not None, says=kept.id if kept else "")

    def apply(self) -> None:
        """Build it."""
        images = Images.from_file(self.images, digests_only=True)
        made = self._builder().build(self.contents(images))
        self.say(f"{made.id}, {made.size_gib} GiB")

    def undo(self) -> None:
        """Nothing: `destroy` deletes all of them, by their tag."""

    def _builder(self) -> SnapshotBuilder:
        return SnapshotBuilder(
            ec2=self.ec2,
            ssm=self.ssm,
            installation=self.wanted.name,
            kubernetes=kubernetes_version(),
            bottlerocket=bottlerocket_version(),
            say=self.say,
        )


def kubernetes_version(module: Path = MODULE) -> str:
    """The cluster's, as variables.tf has it."""
    found = _VERSION.search((module / "variables.tf").read_text("utf-8"))
    assert found is not None  # a test reads it
    return found[1]


def contents_of(images: Images, ecr: Any) -> list[Content]:
    """Our images on GPU nodes, with their sizes as ECR tells them."""
    contents = []
    for name, digest in images.on_gpu_nodes().items():
        image = images.by_name[name]
        repository = image.partition("@")[0].partition("/")[2]
        with translated(f"ECR DescribeImages {repository}"):
            [found] = ecr.describe_images(
                repositoryName=repository, imageIds=[{"imageDigest": digest}]
            )["imageDetails"]
        contents.append(Content(name=name, image=image, bytes=found["imageSizeInBytes"]))
    return contents
