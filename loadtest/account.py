"""The books of a run: what was posted, what was accepted, and which notice came for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


class Account:
    """Jobs by uid. Times are seconds of one monotonic clock, given by the caller.

    A notice may be entered before the answer that accepts its job: on a quick system it
    overtakes the answer.
    """

    def __init__(self, jobs: int) -> None:
        self._to_post = jobs
        self.posted = 0
        self._answered = 0
        self.refusals: list[str] = []
        self._posted_at: dict[str, float] = {}
        self._accept_s: list[float] = []
        self._notices: dict[str, _Notices] = {}

    def take(self) -> int | None:
        """The number of the next job to post, from 0; None once all were posted."""
        if self.posted == self._to_post:
            return None
        self.posted += 1
        return self.posted - 1

    def accepted(self, uid: str, *, posted_at: float, at: float) -> None:
        """The API has accepted a job."""
        self._answered += 1
        # The same uid twice would be two requests that became one job: one of them is lost,
        # and the figures say so, because `accepted` counts answers.
        self._posted_at.setdefault(uid, posted_at)
        self._accept_s.append(at - posted_at)

    def refused(self, reason: str) -> None:
        """The API has refused a job or has not answered."""
        self._answered += 1
        self.refusals.append(reason)

    def noticed(self, uid: str, *, event_id: str, completed: bool, at: float) -> None:
        """A notice has come, perhaps again, perhaps for a job of somebody else."""
        notices = self._notices.setdefault(uid, _Notices(first_at=at, completed=completed))
        notices.copies += 1
        notices.event_ids.add(event_id)

    @property
    def is_settled(self) -> bool:
        """Whether every job was answered, and every accepted one has its notice."""
        return self._answered == self._to_post and self._posted_at.keys() <= self._notices.keys()

    def notice_s(self, uid: str) -> float | None:
        """From posting the job to its first notice; None while either is missing."""
        if uid not in self._posted_at or uid not in self._notices:
            return None
        return self._notices[uid].first_at - self._posted_at[uid]

    def figures(self) -> "Figures":
        """The books as they are now."""
        ours = {uid: self._notices[uid] for uid in self._posted_at if uid in self._notices}
        waits = [self._notices[uid].first_at - self._posted_at[uid] for uid in ours]
        completed = sum(notices.completed for notices in ours.values())
        return Figures(
            jobs_posted=self.posted,
            accepted=len(self._accept_s),
            refused=len(self.refusals),
            completed=completed,
            failed=len(ours) - completed,
            lost=len(self._accept_s) - len(ours),
            duplicates=sum(notices.copies - 1 for notices in ours.values()),
            contradictions=sum(len(notices.event_ids) > 1 for notices in ours.values()),
            foreign=len(self._notices) - len(ours),
            accept_s=tuple(sorted(self._accept_s)),
            notice_s=tuple(sorted(waits)),
        )


@dataclass(kw_only=True)
class _Notices:
    """What came for one job."""

    first_at: float
    completed: bool
    copies: int = 0
    event_ids: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The outcome of a run; the durations are sorted."""

    jobs_posted: int
    accepted: int
    refused: int
    completed: int
    failed: int
    #: Accepted, and no notice came.
    lost: int
    #: Copies of a notice: allowed, they are sent at least once.
    duplicates: int
    #: Jobs that were announced with two different outcomes: never allowed.
    contradictions: int
    #: Notices of jobs that this run did not post.
    foreign: int
    accept_s: tuple[float, ...]
    notice_s: tuple[float, ...]

    @property
    def is_clean(self) -> bool:
        """Whether every job that was posted came out as a picture, once."""
        return not (self.refused or self.failed or self.lost or self.contradictions)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of sorted `values`: one that was truly measured."""
    if not values:
        return None
    return values[max(0, math.ceil(share * len(values)) - 1)]
