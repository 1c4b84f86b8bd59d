"""Which of the waiting calls of one key share the next forward."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

from serve_app.engine.order import Priority

#: A call that has waited this long is as urgent as one with a step less to go. So a long job
#: is overtaken by short ones, but not for ever.
AGEING_S = 0.5
#: A batch job that has waited this long counts as interactive.
PROMOTION_S = 60.0


class Candidate(NamedTuple):
    """A call that could be in the next forward; each step of each job makes one."""

    rows: int
    #: Denoising steps that it still needs.
    remaining: int
    #: Since it was ordered, seconds.
    waited_s: float
    priority: Priority
    #: Seconds until its deadline, less what it still needs alone; None without a deadline.
    slack_s: float | None
    #: Whether it has had a forward.
    is_started: bool
    #: Equal for orders that whole-request batching may put together.
    likeness: Hashable

    @property
    def rank(self) -> Priority:
        """Its priority, raised with time."""
        return Priority.INTERACTIVE if self.waited_s >= PROMOTION_S else self.priority


#: (rows so far, rows more): whether the forward should take them along.
Allows = Callable[[int, int], bool]


class Policy(Protocol):
    """Chooses at every step anew, so whoever is not chosen is preempted."""

    def choose(self, candidates: Sequence[Candidate], allows: Allows) -> list[int]:
        """Indices of the candidates that share the next forward; at least one."""


class ShortestFirst:
    """Least remaining steps first: of all orders the one with the shortest mean wait."""

    def choose(self, candidates: Sequence[Candidate], allows: Allows) -> list[int]:
        """Late ones, then by rank, then by remaining steps less what waiting has earned."""
        order = sorted(range(len(candidates)), key=lambda i: self._urgency(candidates[i]))
        return _filled(order, candidates, allows)

    @staticmethod
    def _urgency(candidate: Candidate) -> tuple[bool, Priority, float]:
        is_late = candidate.slack_s is not None and candidate.slack_s <= 0
        aged = candidate.remaining - candidate.waited_s / AGEING_S
        return not is_late, candidate.rank, aged


class Fifo:
    """One call after the other, each to its end: what a plain loop over `pipe()` does."""

    def choose(self, candidates: Sequence[Candidate], allows: Allows) -> list[int]:
        """The one that has begun, else the oldest."""
        del allows
        return [min(range(len(candidates)), key=lambda i: _age(candidates[i]))]


class WholeRequests:
    """Equal requests from start to end together, nobody joins: what other servers do."""

    def choose(self, candidates: Sequence[Candidate], allows: Allows) -> list[int]:
        """Those that have begun, else the oldest and all that are like it."""
        order = sorted(range(len(candidates)), key=lambda i: _age(candidates[i]))
        begun = [i for i in order if candidates[i].is_started]
        if begun:
            return begun
        like = candidates[order[0]].likeness
        return _filled([i for i in order if candidates[i].likeness == like], candidates, allows)


def all_fit(rows: Sequence[int], allows: Allows) -> bool:
    """Whether nobody has to be chosen, seen at a glance; False means that one has to look.

    What each more gains falls with the rows (`StepTime.allows`), so of equal ones the last decides.
    """
    return len(set(rows)) == 1 and allows(rows[0] * (len(rows) - 1), rows[0])


POLICIES: dict[str, type[Policy]] = {
    "shortest": ShortestFirst,
    "fifo": Fifo,
    "whole": WholeRequests,
}


def _age(candidate: Candidate) -> tuple[bool, Priority, float]:
    return not candidate.is_started, candidate.rank, -candidate.waited_s


def _filled(order: list[int], candidates: Sequence[Candidate], allows: Allows) -> list[int]:
    chosen: list[int] = []
    rows = 0
    for index in order:
        more = candidates[index].rows
        # One that is too large is passed over: a smaller one behind it may still fit.
        if allows(rows, more):
            chosen.append(index)
            rows += more
    return chosen
