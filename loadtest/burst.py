"""One run: so many jobs posted as fast as its users can, and all of their notices awaited.

Nothing of locust in here: `locustfile` connects it.
"""

import secrets
import time
from collections.abc import Callable

from client import Client, ClientError
from jobs.notice import Notice
from jobs.samples import sample_request
from loadtest.account import Account

#: Words that make each prompt its own, so that two pictures cannot be taken for each other.
_COLOURS = ("red", "green", "blue", "yellow", "white", "orange", "purple", "grey")
_SHAPES = ("circle", "square", "triangle", "cross", "ring", "star")


class Burst:
    """What the users and the listener of one run share. `report` is told each duration."""

    def __init__(
        self,
        *,
        jobs: int,
        timeout_s: float,
        report: Callable[[str, float, Exception | None], None],
    ) -> None:
        self.account = Account(jobs)
        self._report = report
        self._timeout_s = timeout_s
        self._began = time.monotonic()
        self._settled_s: float | None = None
        #: Why the run cannot go on, if it cannot.
        self.broken: str | None = None
        # The client's own id: a notice of an earlier run is never taken for one of this.
        self._name = f"burst-{secrets.token_hex(4)}"

    @property
    def wall_s(self) -> float:
        """From the beginning until every job was accounted for, or until now."""
        if self._settled_s is None:
            return time.monotonic() - self._began
        return self._settled_s

    @property
    def is_over(self) -> bool:
        """Whether every job is accounted for, the time has passed, or the run broke."""
        return bool(self._settled_s or self.broken or self.wall_s > self._timeout_s)

    def post(self, client: Client) -> bool:
        """Post the next job; False if none is left."""
        number = self.account.take()
        if number is None:
            return False
        prompt = f"a {_COLOURS[number % 8]} {_SHAPES[number // 8 % 6]}, number {number}"
        request = {
            **sample_request(prompt=prompt, seed=number),
            "id": f"{self._name}-{number}",
        }
        posted_at = time.monotonic()
        try:
            view = client.submit(request)
        except ClientError as error:
            self.account.refused(str(error))
            self._report("POST /v1/jobs", time.monotonic() - posted_at, error)
        else:
            at = time.monotonic()
            self.account.accepted(view.uid, posted_at=posted_at, at=at)
            self._report("POST /v1/jobs", at - posted_at, None)
        self._settle()
        return True

    def notice(self, notice: Notice) -> None:
        """A notice has come."""
        uid = str(notice.job["uid"])
        self.account.noticed(
            uid, event_id=notice.event_id, completed=notice.result, at=time.monotonic()
        )
        waited_s = self.account.notice_s(uid)
        if waited_s is not None:
            self._report("notice", waited_s, None if notice.result else Failed(notice.status))
        self._settle()

    def abort(self, reason: str) -> None:
        """Give up: what has not come until now counts as lost."""
        self.broken = reason

    def _settle(self) -> None:
        if self._settled_s is None and self.account.is_settled:
            self._settled_s = self.wall_s


class Failed(Exception):
    """A job was announced as failed."""
