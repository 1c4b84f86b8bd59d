"""Mending what a crash left half done, and doing what is due at its time."""

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from jobs.errors import JobsError
from jobs.outcome import Outcome
from jobs.status import LEASED, ErrorCode, Status
from records.announce import announce, notice_of
from records.errors import ConditionFailed, RecordsError
from records.finish import finish
from records.lease import Lease, lease
from records.publish import publish
from records.queue import Queue
from records.record import FLAG, Record, job_key, load_job
from records.store import ObjectStore
from records.table import Change, Require, Table
from records.topic import Topic
from records.webhook import is_to_call, on_its_way

#: The API publishes within milliseconds of accepting; after so long it has died on the way.
UNPUBLISHED_MS = 10_000
#: A bridge announces right after it records; after so long it has died on the way.
UNANNOUNCED_MS = 60_000
#: Longer than ending a job takes, and soon enough after a death of ours.
_LEASE_MS = 30_000
_LOST = Outcome.failed(ErrorCode.DEAD_LETTERED, "its queue lost its message, twice")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What one sweep mended."""

    published: int = 0
    republished: int = 0
    announced: int = 0
    #: Webhooks sent on their way again.
    called: int = 0
    #: Past their deadline, or lost by their queue twice.
    expired: int = 0


@dataclass(frozen=True, kw_only=True)
class Sweeper:
    """Everything that a sweep needs."""

    table: Table
    store: ObjectStore
    jobs: Topic
    notices: Topic
    webhooks: Queue
    #: How long the queues keep a message.
    retention_ms: int

    def sweep(self, *, now_ms: int) -> Sweep:
        """Mend everything that is due at `now_ms`."""
        published = self._publish(now_ms)
        done: Counter[str] = Counter()
        for record in self._records("due", below=now_ms + 1):
            with _for_itself(record):
                done[self._due(record, now_ms)] += 1
        announced = self._announce(now_ms)
        return Sweep(
            published=published,
            republished=done["republished"],
            announced=announced,
            called=done["called"],
            expired=done["expired"],
        )

    def _publish(self, now_ms: int) -> int:
        count = 0
        for record in self._records("unpublished", below=now_ms - UNPUBLISHED_MS):
            if record.status is Status.QUEUED and record.published_at is None:
                with _for_itself(record):
                    job = load_job(record, self.store)
                    publish(self.table, self.store, self.jobs, job, now_ms=now_ms)
                    count += 1
        return count

    def _due(self, record: Record, now_ms: int) -> str:
        """Do what is due of this record; a word for what that was."""
        word = "nothing"
        if is_to_call(record):
            if not on_its_way(self.table, record, now_ms=now_ms):
                return "nothing"
            self.webhooks.send(notice_of(record, bucket=self.store.bucket).encode())
            return "called"
        if record.deadline is not None and record.deadline <= now_ms:
            word = self._end(record, Outcome.expired(), now_ms)
        elif _waits(record, now_ms) and record.republished_at is None:
            job = load_job(record, self.store)
            publish(self.table, self.store, self.jobs, job, now_ms=now_ms, again=True)
            record, word = replace(record, republished_at=now_ms), "republished"
        elif self._lost(record, now_ms):
            word = self._end(record, _LOST, now_ms)
        if word != "expired":
            self._reschedule(record, now_ms)
        return word

    def _lost(self, record: Record, now_ms: int) -> bool:
        """Whether no queue can have a message of this job any more."""
        again = record.republished_at
        return _waits(record, now_ms) and again is not None and again + self.retention_ms <= now_ms

    def _announce(self, now_ms: int) -> int:
        count = 0
        for record in self._records("unannounced", below=now_ms - UNANNOUNCED_MS):
            if record.ended and record.notified_at is None and record.deleted_at is None:
                with _for_itself(record):
                    self._tell(record, now_ms)
                    count += 1
        return count

    def _end(self, record: Record, outcome: Outcome, now_ms: int) -> str:
        """End a job that waits, also one whose owner died; one that has an owner is left to it."""
        owner = f"sweeper/{uuid.uuid4().hex[:8]}"
        until_ms = now_ms + _LEASE_MS
        held = lease(self.table, record.uid, owner=owner, now_ms=now_ms, until_ms=until_ms)
        if not isinstance(held, Lease):
            return "nothing"
        nonce = uuid.uuid4().hex
        done = finish(self.table, record.uid, outcome, by=held, nonce=nonce, now_ms=now_ms)
        if not done.won:
            return "nothing"
        self._tell(done.record, now_ms)
        return "expired"

    def _tell(self, record: Record, now_ms: int) -> None:
        bucket = self.store.bucket
        announce(self.table, self.notices, record, bucket=bucket, now_ms=now_ms)

    def _reschedule(self, record: Record, now_ms: int) -> None:
        """Let the record be due again when there may be something to do, else never again.

        A job that has an owner may come back to the queue, after its message was lost.
        """
        # Ended meanwhile, it may be due for another reason.
        as_read = [Require("status", "=", record.status.value)]
        moments = []
        if record.deadline is not None and record.deadline > now_ms and not record.ended:
            moments.append(record.deadline)
        if record.republished_at is not None and not record.ended:
            moments.append(max(record.republished_at + self.retention_ms, now_ms + 1))
        if record.status in LEASED:
            moments.append(max(record.lease_until, now_ms) + UNANNOUNCED_MS)
        if moments:
            require = [*as_read, Require("due", "present")]
            change = Change(require=require, set={"due_at": min(moments)})
        else:
            change = Change(require=as_read, remove=["due", "due_at"])
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


def _waits(record: Record, now_ms: int) -> bool:
    """Whether nobody works on the job: queued, or left behind by an owner that died."""
    left = record.status in LEASED and record.lease_until <= now_ms
    return left or record.status is Status.QUEUED


@contextmanager
def _for_itself(record: Record) -> Iterator[None]:
    """Let one record's trouble be its own: the others are not to wait for it.

    It stays due: for the next sweep, or for the release that can read it.
    """
    try:
        yield
    except (JobsError, RecordsError) as error:
        log = structlog.get_logger()
        log.warning("not mended", uid=record.uid, kind=type(error).__name__)
