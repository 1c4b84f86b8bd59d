"""The snapshots of an installation: which there are, which may go."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from darkroom.cluster.snapshot import IMAGE_TAG
from darkroom.deploy.cluster import Cluster
from darkroom.deploy.content import DAEMON_TAG, tagged
from darkroom.deploy.snapshot_build import BUILD_TAG
from records.errors import translated


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One snapshot. Without images it is one that was never finished."""

    id: str
    made: datetime
    size_gib: int
    state: str
    #: Name -> digest, of ours.
    images: Mapping[str, str]
    #: The same of the DaemonSets' images.
    daemons: Mapping[str, str]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """As EC2 describes it."""
        return cls(
            id=found["SnapshotId"],
            made=found["StartTime"],
            size_gib=found["VolumeSize"],
            state=found["State"],
            images=_named(tagged(found, ours=True), IMAGE_TAG),
            daemons=_named(tagged(found, ours=False), DAEMON_TAG),
        )


def _named(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {tag.removeprefix(prefix): digest for tag, digest in tags.items()}


def listed(ec2: Any, installation: str) -> list[Kept]:
    """All that were built for an installation, newest first."""
    wanted = [{"Name": f"tag:{BUILD_TAG}", "Values": [installation]}]
    with translated("EC2 DescribeSnapshots"):
        pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=wanted)
        found = [Kept.of(each) for page in pages for each in page["Snapshots"]]
    return sorted(found, key=lambda each: each.made, reverse=True)


def in_use(cluster: Cluster) -> set[str]:
    """Those that a cluster's new nodes start from; without one of these no node would start."""
    disks = [
        disk.get("ebs", {})
        for each in cluster.items("ec2nodeclasses.karpenter.k8s.aws")
        for disk in each["spec"].get("blockDeviceMappings", ())
    ]
    return {str(disk["snapshotID"]) for disk in disks if disk.get("snapshotID")}


def superfluous(snapshots: Sequence[Kept], *, keep: int, used: Collection[str]) -> list[Kept]:
    """Those that may go: beyond the newest `keep` complete ones, and not in use."""
    complete = [each for each in snapshots if each.state == "completed" and each.images]
    stay = {each.id for each in complete[:keep]} | set(used)
    # One that is still being made belongs to somebody.
    return [each for each in snapshots if each.id not in stay and each.state != "pending"]


def delete(ec2: Any, snapshots: Iterable[Kept]) -> list[str]:
    """Delete them; their ids."""
    gone = []
    for each in snapshots:
        with translated(f"EC2 DeleteSnapshot {each.id}"):
            ec2.delete_snapshot(SnapshotId=each.id)
        gone.append(each.id)
    return gone
