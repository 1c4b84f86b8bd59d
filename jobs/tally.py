"""How far a batch is, as its program writes it down and others read it."""

import json
from dataclasses import asdict, dataclass
from typing import Self

#: Beside the batch's outputs: its last tally.
TALLY_FILE = "progress.json"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many jobs a batch has, and what became of them so far."""

    total: int
    succeeded: int = 0
    failed: int = 0

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """A line as `to_json` makes it."""
        told: dict[str, int] = json.loads(text)
        return cls(total=told["total"], succeeded=told["succeeded"], failed=told["failed"])

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self))

    @property
    def done(self) -> int:
        """Jobs that have come to their end."""
        return self.succeeded + self.failed
