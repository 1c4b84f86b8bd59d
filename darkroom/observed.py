"""A custom resource of KubeRay's as it was read: what it says, without asking again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: JobDeploymentStatus values after which nothing more happens (KubeRay 1.7).
_JOB_ENDED = frozenset({"Complete", "Failed", "ValidationFailed"})


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A custom resource as it was read."""

    document: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Its resourceVersion."""
        return str(self.document["metadata"]["resourceVersion"])

    @property
    def suspended(self) -> bool:
        """Whether somebody wants it suspended."""
        return bool(self.document.get("spec", {}).get("suspend", False))

    def condition(self, kind: str) -> bool:
        """Whether the condition of that type is true, as of this generation."""
        for each in self.status.get("conditions", []):
            if each["type"] == kind:
                seen = each.get("observedGeneration", self.generation)
                return bool(each["status"] == "True" and seen >= self.generation)
        return False

    @property
    def generation(self) -> int:
        """How often its spec was written."""
        return int(self.document["metadata"].get("generation", 0))

    @property
    def status(self) -> Mapping[str, Any]:
        """What its controller says."""
        found: Mapping[str, Any] = self.document.get("status", {})
        return found

    @property
    def ready(self) -> bool:
        """Whether it serves: head up, applications deployed."""
        return self.condition("Ready") and not self.suspended

    @property
    def settled(self) -> bool:
        """Whether what serves is what is wanted: no second cluster is coming up beside it."""
        return self.ready and not self.condition("UpgradeInProgress")

    @property
    def ended(self) -> bool:
        """Whether a RayJob has come to its end."""
        state: str | None = self.status.get("jobDeploymentStatus")
        return state in _JOB_ENDED
