"""A step: a piece of an installation that can be looked at, made, and taken away."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What `check` found."""

    done: bool
    #: A few words for the person who watches.
    says: str = ""


class Step(Protocol):
    """All three may be called at any time and any number of times: a run may be killed anywhere.

    `check` changes nothing of what an installation is. `apply` goes on from whatever an earlier
    `apply` left; `undo` from whatever there is, nothing included.
    """

    @property
    def name(self) -> str:
        """What it is about, in a few words."""
        ...

    @property
    def takes(self) -> str:
        """How long it usually takes, for people."""
        ...

    def check(self) -> Standing:
        """Whether there is nothing to do."""
        ...

    def apply(self) -> None:
        """Make it."""
        ...

    def undo(self) -> None:
        """Take it away."""
        ...


@dataclass(frozen=True)
class Undoing:
    """A step turned round: to apply it is to undo the other."""

    step: Step

    @property
    def name(self) -> str:
        return f"remove {self.step.name}"

    @property
    def takes(self) -> str:
        return self.step.takes

    def check(self) -> Standing:
        """Never done: only `undo` itself knows what may be left of half a step."""
        return Standing(done=False)

    def apply(self) -> None:
        self.step.undo()

    def undo(self) -> None:
        self.step.apply()
