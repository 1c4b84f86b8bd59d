"""The operators' custom resource definitions: before any operator, and wholly there."""

import json
from dataclasses import dataclass
from pathlib import Path

import httpx

from darkroom.cluster.crd_files import download, pinned
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
    #: Where they are downloaded to, if they are not on this machine.
    folder: Path

    name = "custom resource definitions"
    takes = "half a minute"

    def check(self) -> Standing:
        """Whether an apply would change anything."""
        different = self.cluster.kubectl(
            "diff", *MANAGER, "-R", "-f", str(self._files()), expected=(0, 1)
        )
        return Standing(done=not different.strip() and not self._waiting())

    def apply(self) -> None:
        """Apply all, and wait until the server knows their kinds."""
        self.cluster.kubectl("apply", *MANAGER, "-R", "-f", str(self._files()))
        self.cluster.kubectl(
            "wait", "--for=condition=Established", f"--timeout={_ESTABLISHED_S}s",
            "-R", "-f", str(self._files()), limit_s=_ESTABLISHED_S + 60,
        )  # fmt: skip

    def undo(self) -> None:
        """Nothing: they go with the cluster, and to delete one deletes all of its kind."""

    def _waiting(self) -> list[str]:
        answer = self.cluster.kubectl("get", "-R", "-f", str(self._files()), "-o", "json")
        found = json.loads(answer)
        return [
            each["metadata"]["name"]
            for each in found.get("items", [found])
            if not any(
                condition["type"] == "Established" and condition["status"] == "True"
                for condition in each.get("status", {}).get("conditions", ())
            )
        ]

    def _files(self) -> Path:
        try:
            return crd_dir()
        except CannotValidate:
            if not any(self.folder.rglob("*.yaml")):
                with httpx.Client(timeout=_TIMEOUT_S) as client:
                    download(self.folder, pinned(), client)
            return self.folder
