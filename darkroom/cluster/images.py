"""The container images of one release: by digest in production, never by a tag that moves."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from darkroom.cluster.errors import NotRenderable

#: The targets of the Dockerfile that run on the cluster.
NAMES = ("bridge", "serve-cpu", "serve-gpu", "ui")
DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")
_TAGGED = re.compile(r"^[^@\s]+:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]*)$")
#: Tags that mean another image tomorrow.
FLOATING = frozenset({"latest", "main", "master", "dev", "edge", "nightly", "stable"})


def floats(image: str) -> bool:
    """Whether `image` may be another one tomorrow."""
    if DIGEST.match(image):
        return False
    tagged = _TAGGED.match(image)
    return tagged is None or tagged["tag"] in FLOATING


@dataclass(frozen=True)
class Images:
    """Name of the Dockerfile's target -> the image."""

    by_name: Mapping[str, str]

    @classmethod
    def from_file(cls, path: Path, *, digests_only: bool) -> Self:
        """Those of a JSON file, one for each name; `NotRenderable` names what is wrong."""
        try:
            given = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise NotRenderable(f"{path} is not JSON: {error}") from error
        if not isinstance(given, dict) or set(given) != set(NAMES):
            raise NotRenderable(f"{path} must name these images: {', '.join(NAMES)}")
        for name, image in given.items():
            if floats(str(image)):
                raise NotRenderable(f"{path}: {name} ({image}) has a tag that moves, or none")
            if digests_only and not DIGEST.match(image):
                raise NotRenderable(f"{path}: {name} must be given by its digest, not {image}")
        return cls(given)

    @classmethod
    def stand_ins(cls) -> Self:
        """Images that are nowhere, for a check without a registry."""
        digests = {name: f"{number:064x}" for number, name in enumerate(NAMES, start=1)}
        return cls({name: f"images.invalid/{name}@sha256:{digests[name]}" for name in NAMES})

    def on_gpu_nodes(self) -> Mapping[str, str]:
        """Name -> digest of what a GPU node's snapshot must hold; empty where one is a tag."""
        image = self.by_name["serve-gpu"]
        return {"serve-gpu": image.partition("@")[2]} if DIGEST.match(image) else {}
