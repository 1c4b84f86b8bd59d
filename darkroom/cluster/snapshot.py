"""The snapshot of a node's data volume that already holds the images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.cluster.errors import NoSnapshot
from records.errors import translated

#: Followed by an image's name; the value is the image's digest.
IMAGE_TAG = "darkroom:image/"
#: An annotation beside the snapshot's id: only EC2 knows its size, and no volume may be smaller.
SNAPSHOT_GIB = "darkroom/snapshot-gib"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A complete snapshot, and how large a volume made of it is at least."""

    id: str
    size_gib: int


def resolve(ec2: Any, *, given: str | None, images: Mapping[str, str]) -> Snapshot | None:
    """The snapshot `given`, else the newest that holds exactly `images`, else none.

    `images` is name -> digest. A snapshot with one image more or another digest is none: its
    nodes would pull what is missing, and nobody would see why the start takes minutes.
    """
    if given is not None:
        return _complete(ec2, given)
    if not images:
        return None
    filters = [
        {"Name": f"tag:{IMAGE_TAG}{name}", "Values": [digest]}
        for name, digest in sorted(images.items())
    ]
    filters.append({"Name": "status", "Values": ["completed"]})
    with translated("EC2 DescribeSnapshots"):
        pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
        found = [each for page in pages for each in page["Snapshots"]]
    exact = [each for each in found if _images_of(each.get("Tags", ())) == dict(images)]
    if not exact:
        return None
    newest = max(exact, key=lambda each: each["StartTime"])
    return Snapshot(id=newest["SnapshotId"], size_gib=newest["VolumeSize"])


def _complete(ec2: Any, given: str) -> Snapshot:
    with translated("EC2 DescribeSnapshots"):
        found = ec2.describe_snapshots(SnapshotIds=[given])["Snapshots"]
    if not found or found[0]["State"] != "completed":
        state = found[0]["State"] if found else "not there"
        raise NoSnapshot(f"{given} is {state}; a node made of it would not start")
    return Snapshot(id=given, size_gib=found[0]["VolumeSize"])


def _images_of(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {
        tag["Key"].removeprefix(IMAGE_TAG): tag["Value"]
        for tag in tags
        if tag["Key"].startswith(IMAGE_TAG)
    }
