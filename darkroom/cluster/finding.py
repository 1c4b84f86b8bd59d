"""What a check has found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, order=True)
class Finding:
    """One fault of one object; `rule` is the name of what caught it."""

    rule: str
    object: str
    detail: str

    @classmethod
    def of(cls, rule: str, manifest: Mapping[str, Any], detail: str) -> Self:
        """A fault of `manifest`."""
        return cls(rule, name_of(manifest), detail)

    def __str__(self) -> str:
        return f"{self.object}: {self.rule}: {self.detail}"


def name_of(manifest: Mapping[str, Any]) -> str:
    """Kind and name, as kubectl writes them."""
    return f"{manifest.get('kind', '?')}/{manifest.get('metadata', {}).get('name', '?')}"
