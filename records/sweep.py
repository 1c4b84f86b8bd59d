"""Mending what a crash left half done: jobs that were not published or not announced."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from jobs.errors import JobsError
from jobs.job import Job
from jobs.outcome import Outcome
from jobs.status import Status
from records.announce import announce
from records.errors import ConditionFailed, LeaseLost, ObjectChanged, ObjectMissing
from records.finish import finish
from records.publish import publish
from records.record import FLAG, Record, job_key, load_job
from records.store import ObjectStore
from records.table import Change, Require, Table
from records.topic import Topic

#: The API publishes within milliseconds of accepting; after so long it has died on the way.
UNPUBLISHED_MS = 10_000
#: A bridge announces right after it records; after so long it has died on the way.
UNANNOUNCED_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What one sweep mended."""

    published: int = 0
    republished: int = 0
    announced: int = 0
    expired: int = 0


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """Everything that a sweep needs."""

    table: Table
    store: ObjectStore
    jobs: Topic
    notices: Topic

    def sweep(self, *, now_ms: int) -> Sweep:
        """Mend everything that is due at `now_ms`."""
        published = self._publish(now_ms)
        republished, expired = self._due(now_ms)
        announced = self._announce(now_ms)
        return Sweep(
            published=published, republished=republished, announced=announced, expired=expired
        )

    def _publish(self, now_ms: int) -> int:
        count = 0
        for record in self._records("unpublished", below=now_ms - UNPUBLISHED_MS):
            if record.status is Status.QUEUED and record.published_at is None:
                job = self._readable(record)
                if job is None:
                    continue
                publish(self.table, self.store, self.jobs, job, now_ms=now_ms)
                count += 1
        return count

    def _due(self, now_ms: int) -> tuple[int, int]:
        republished = expired = 0
        for record in self._records("due", below=now_ms + 1):
            if record.deadline is not None and record.deadline <= now_ms:
                expired += self._expire(record, now_ms)
            elif record.status is Status.QUEUED and record.republished_at is None:
                job = self._readable(record)
                if job is None:
                    continue
                publish(self.table, self.store, self.jobs, job, now_ms=now_ms, again=True)
                republished += 1
            self._reschedule(record, now_ms)
        return republished, expired

    def _readable(self, record: Record) -> Job | None:
        """The job of a record; None if this release cannot read it: others must not wait for it.

        It stays due, for the release that wrote it.
        """
        try:
            return load_job(record, self.store)
        except (JobsError, ObjectMissing, ObjectChanged) as error:
            structlog.get_logger().warning("unreadable", uid=record.uid, kind=type(error).__name__)
            return None

    def _announce(self, now_ms: int) -> int:
        count = 0
        for record in self._records("unannounced", below=now_ms - UNANNOUNCED_MS):
            if record.ended and record.notified_at is None and record.deleted_at is None:
                self._tell(record, now_ms)
                count += 1
        return count

    def _expire(self, record: Record, now_ms: int) -> int:
        """End a job that still waits; one that has an owner is left to it."""
        try:
            done = finish(
                self.table,
                record.uid,
                Outcome.expired(),
                by=None,
                nonce=uuid.uuid4().hex,
                now_ms=now_ms,
            )
        except LeaseLost:
            return 0
        if done.won:
            self._tell(done.record, now_ms)
        return int(done.won)

    def _tell(self, record: Record, now_ms: int) -> None:
        bucket = self.store.bucket
        announce(self.table, self.notices, record, bucket=bucket, now_ms=now_ms)

    def _reschedule(self, record: Record, now_ms: int) -> None:
        """Let the record be due at its deadline, if that is yet to come, else never again."""
        if record.deadline is not None and record.deadline > now_ms:
            change = Change(require=[Require("due", "present")], set={"due_at": record.deadline})
        else:
            change = Change(require=[Require("pk", "present")], remove=["due", "due_at"])
        try:
            self.table.update(job_key(record.uid), change)
        except ConditionFailed:
            return  # it has ended meanwhile

    def _records(self, index: str, *, below: int) -> Iterator[Record]:
        """The records that a sparse index names, oldest first.

        An index lags behind its table, so each record is read again before it is judged.
        """
        cursor = None
        while True:
            page = self.table.query(index, FLAG, below=below, cursor=cursor)
            for entry in page.items:
                item = self.table.get(entry["pk"])
                if item is not None:
                    yield Record.from_item(item)
            if page.cursor is None:
                return
            cursor = page.cursor
