"""Whether a RayService may be put to sleep, and doing so: the guards of deep sleep.

Suspending kills what runs, so it is done only when nothing does. The order of one look matters:
first the RayService, then everything else. A bridge that comes up writes to the RayService after
its Deployment was scaled. So either we see the Deployment, or our write is refused (409).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from darkroom.errors import Conflict
from darkroom.observed import Observed
from darkroom.serve_state import Deployment


class Surroundings(Protocol):
    """Where a sleeper looks; every answer is of now."""

    def service(self) -> Observed:
        """The RayService."""

    def messages(self) -> int:
        """Messages in the queue: visible, in flight or delayed."""

    def bridges(self) -> int:
        """Bridges that there are to be."""

    def deployments(self) -> list[Deployment]:
        """What Serve has deployed."""

    def gpu_workers(self) -> int:
        """Ray worker pods that exist, in whatever phase."""

    def last_active(self) -> datetime | None:
        """When there last were messages."""

    def suspend(self, seen: Observed) -> None:
        """Put it to sleep unless it has changed since `seen`: `Conflict` then."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of it: asleep, or awake for a reason."""

    asleep: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Sleeper:
    """Looks several times over a while; suspends if all looks agree."""

    around: Surroundings
    samples: int
    #: Seconds from the first look to the last.
    over_s: float
    #: Without a message for so long.
    idle: timedelta
    pause: Callable[[float], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self) -> Verdict:
        """Put it to sleep, or say why not."""
        for look in range(self.samples):
            if look:
                self.pause(self.over_s / (self.samples - 1))
            seen = self.around.service()
            if seen.suspended:
                return Verdict(asleep=True, reason="it sleeps already")
            if (reason := self._why_awake(seen)) is not None:
                return Verdict(asleep=False, reason=reason)
        try:
            self.around.suspend(seen)
        except Conflict:
            return Verdict(asleep=False, reason="somebody wrote to it meanwhile")
        return Verdict(asleep=True, reason="nothing to do")

    def _why_awake(self, seen: Observed) -> str | None:
        """The first guard that keeps it awake; the cheap ones first."""
        if not seen.settled:
            return "it is not ready: coming up, or being upgraded"
        if messages := self.around.messages():
            return f"messages in the queue: {messages}"
        if bridges := self.around.bridges():
            return f"bridges wanted: {bridges}"
        if (active := self.around.last_active()) and self.now() - active < self.idle:
            return f"messages were there at {active:%H:%M:%S}"
        busy = [each.name for each in self.around.deployments() if _keeps_awake(each)]
        if busy:
            return f"Serve has or wants replicas of {', '.join(busy)}"
        if workers := self.around.gpu_workers():
            return f"GPU workers: {workers}"
        return None


def _keeps_awake(deployment: Deployment) -> bool:
    """Whether jobs may be in it. The ingress is always there, on the head."""
    return deployment.name != "ingress" and (deployment.wanted > 0 or deployment.there > 0)
