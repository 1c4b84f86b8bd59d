"""The cluster by kubectl: one kubeconfig of this installation's own, credentials by boto3."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.deploy.errors import ProgramFailed
from darkroom.deploy.program import HELM, KUBECTL, Programs
from darkroom.names import FIELD_MANAGER
from records.errors import ObjectMissing, translated

#: By which KEDA leaves a ScaledObject alone.
PAUSED = "autoscaling.keda.sh/paused"
#: Beside it, where a removal has paused: what a person has paused stays as that person left it.
BY_REMOVAL = "darkroom/paused-by-removal"
MANAGER = ("--server-side", "--field-manager", FIELD_MANAGER)
_ABSENT = ("NotFound", "doesn't have a resource type")


def write_kubeconfig(eks: Any, name: str, region: str, path: Path) -> bool:
    """Write how to reach the cluster; whether there is one that can be reached."""
    try:
        with translated("EKS DescribeCluster", missing=frozenset({"ResourceNotFoundException"})):
            cluster = eks.describe_cluster(name=name)["cluster"]
    except ObjectMissing:
        return False
    # One that is being made has no address yet, and one that is being deleted answers nobody.
    if cluster["status"] == "DELETING":
        return False
    if "endpoint" not in cluster or "data" not in cluster.get("certificateAuthority", {}):
        return False
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": sys.executable,
        "args": ["-m", "darkroom.deploy.token", name, region],
        "interactiveMode": "Never",
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster["endpoint"],
                    "certificate-authority-data": cluster["certificateAuthority"]["data"],
                },
            }
        ],
        "users": [{"name": name, "user": {"exec": command}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2), "utf-8")
    return True


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """kubectl and helm with one kubeconfig."""

    programs: Programs
    kubeconfig: Path

    @property
    def environ(self) -> dict[str, str]:
        """Variables of whoever speaks to it: the kubeconfig, and our own code for its token."""
        return {
            "KUBECONFIG": str(self.kubeconfig.resolve()),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }

    def kubectl(
        self,
        *arguments: str,
        given: str | None = None,
        limit_s: float = 120,
        expected: tuple[int, ...] = (0,),
        private: bool = False,
    ) -> str:
        """What a command prints."""
        answer = self.programs.run(
            KUBECTL, arguments, given=given, limit_s=limit_s, expected=expected,
            environ=self.environ, private=private,
        )  # fmt: skip
        return answer.output

    def helm(self, *arguments: str, limit_s: float = 900) -> str:
        """What a command prints."""
        return self.programs.run(HELM, arguments, limit_s=limit_s, environ=self.environ).output

    def apply_text(self, objects: Sequence[dict[str, Any]]) -> None:
        """Server-side apply of objects that no file has."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", *MANAGER, "-f", "-", given=json.dumps(document))

    def items(self, kind: str, *, namespace: str | None = None) -> list[dict[str, Any]]:
        """All objects of a kind; none where the kind is not known."""
        place = ("-n", namespace) if namespace else ("-A",)
        try:
            found = json.loads(self.kubectl("get", kind, *place, "-o", "json", private=True))
        except ProgramFailed as failed:
            if any(word in str(failed) for word in _ABSENT):
                return []
            raise
        items: list[dict[str, Any]] = found["items"]
        return items

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> dict[str, Any] | None:
        """One object, or nothing."""
        place = ("-n", namespace) if namespace else ()
        asked = ("get", kind, name, *place, "-o", "json", "--ignore-not-found")
        text = self.kubectl(*asked, private=True)
        found: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return found

    def delete_all(self, kind: str, *, namespace: str | None = None, wait_s: int = 900) -> None:
        """Delete all objects of a kind, and wait until they are gone; nothing if there are none."""
        if not self.items(kind, namespace=namespace):
            return
        place = ("-n", namespace) if namespace else ()
        self.kubectl(
            "delete", kind, "--all", *place, "--wait=true", f"--timeout={wait_s}s",
            "--ignore-not-found", limit_s=wait_s + 60,
        )  # fmt: skip
