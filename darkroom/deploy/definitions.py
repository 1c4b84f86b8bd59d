"""The operators' custom resource definitions: before any operator, and wholly there."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx

from darkroom.cluster.crd_files import gathered
from darkroom.cluster.crds import crd_dir
from darkroom.cluster.errors import CannotValidate
from darkroom.deploy.cluster import MANAGER, Cluster
from darkroom.deploy.step import Standing

_ESTABLISHED_S = 120
_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class CustomResources:
    """Applied by server, because they are too large for an annotation; Helm upgrades none."""

    cluster: Cluster
    #: Where they are gathered: the pinned ones, byte for byte.
    folder: Path

    name = "custom resource definitions"
    takes = "half a minute"

    def check(self) -> Standing:
        """Whether an apply would change anything."""
        different = self.cluster.kubectl("diff", *MANAGER, *self._files, expected=(0, 1))
        return Standing(done=not different.strip() and not self._waiting())

    def apply(self) -> None:
        """Apply all, and wait until the server knows their kinds."""
        self.cluster.kubectl("apply", *MANAGER, *self._files)
        self.cluster.kubectl(
            "wait", "--for=condition=Established", f"--timeout={_ESTABLISHED_S}s",
            *self._files, limit_s=_ESTABLISHED_S + 60,
        )  # fmt: skip

    def undo(self) -> None:
        """Nothing: they go with the cluster, and to delete one deletes all of its kind."""

    def _waiting(self) -> list[str]:
        answer = self.cluster.kubectl("get", *self._files, "-o", "json")
        found = json.loads(answer)
        return [
            each["metadata"]["name"]
            for each in found.get("items", [found])
            if not any(
                condition["type"] == "Established" and condition["status"] == "True"
                for condition in each.get("status", {}).get("conditions", ())
            )
        ]

    @cached_property
    def _files(self) -> list[str]:
        """File by file: whatever else lies in a folder is not applied."""
        try:
            here = crd_dir()
        except CannotValidate:
            here = None
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            paths = gathered(self.folder, here, client)
        return [word for path in paths for word in ("-f", str(path))]
