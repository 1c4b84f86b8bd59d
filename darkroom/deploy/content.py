"""What a snapshot is to hold, and how it is told from outside what one holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from darkroom.cluster.snapshot import IMAGE_TAG

#: Followed by a DaemonSet image's name; apart from ours, which alone decide what nodes start from.
DAEMON_TAG = "darkroom:daemon/"
_LEAST_GIB = 20
#: Compressed layers, the same unpacked, and room.
_TIMES = 3


@dataclass(frozen=True, kw_only=True)
class Content:
    """An image that a snapshot is to hold."""

    name: str
    #: By digest.
    image: str
    bytes: int
    #: Another name for it, by which a pod asks for it.
    also: str | None = None
    #: Whether it is ours, which nodes choose their snapshot by.
    ours: bool = True

    @property
    def digest(self) -> str:
        return self.image.partition("@")[2]

    @property
    def tag(self) -> str:
        """The tag of a snapshot that has it."""
        return (IMAGE_TAG if self.ours else DAEMON_TAG) + self.name

    @property
    def names(self) -> list[str]:
        """All by which it is asked for."""
        return [self.image, *([self.also] if self.also else [])]

    def fault_in(self, listing: str) -> str | None:
        """What `ctr images check` says against it; None: all layers there, under each name."""
        for name in self.names:
            lines = [line for line in listing.splitlines() if line.startswith(f"{name} ")]
            whole = any(
                self.digest in line and "complete (" in line and line.split()[-1] == "true"
                for line in lines
            )
            if not whole:
                return lines[0] if lines else f"{name} is not in the listing"
        return None


def volume_gib(contents: Sequence[Content]) -> int:
    """Of the data volume."""
    return max(_LEAST_GIB, ceil(_TIMES * sum(each.bytes for each in contents) / 2**30))


def tagged(snapshot: Mapping[str, Any], *, ours: bool) -> dict[str, str]:
    """Tag -> digest of the images that a snapshot has, as EC2 describes it."""
    prefix = IMAGE_TAG if ours else DAEMON_TAG
    return {
        tag["Key"]: tag["Value"]
        for tag in snapshot.get("Tags", ())
        if tag["Key"].startswith(prefix)
    }
