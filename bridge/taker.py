"""Taking the job of a message: its lease, and its record if it has none yet."""

import uuid
from dataclasses import dataclass

from bridge.envelope import Opened, job_of
from bridge.in_hand import InHand
from jobs.catalogue import Catalogue
from jobs.errors import Fault, InvalidJob
from jobs.job import Job
from jobs.logs import log_transition
from jobs.outcome import Outcome
from jobs.status import ErrorCode
from records.accept import accept, republish_moment
from records.clock import now_ms
from records.errors import ObjectChanged, ObjectMissing, RecordMissing
from records.finish import finish
from records.lease import Busy, Ended, Lease, lease, release
from records.record import Record
from records.store import ObjectStore
from records.table import Table


@dataclass(frozen=True, kw_only=True)
class Taker:
    """Leases jobs of one runtime in the name of one process."""

    owner: str
    runtime: str
    catalogue: Catalogue
    table: Table
    store: ObjectStore
    lease_s: float
    #: How long the runtime's queue keeps a message.
    retention_s: float

    def take(self, opened: Opened, in_hand: InHand) -> tuple[Job, Lease] | Busy | Ended:
        """The message's job and a lease of it, unless somebody has it or it has ended."""
        uid = opened.message.uid
        owner = f"{self.owner}/{uuid.uuid4().hex[:8]}"
        job: Job | None = None
        if opened.message.reference is None or uid is None:
            job = self._own(job_of(opened, store=self.store, catalogue=self.catalogue))
            uid = job.uid
        try:
            held = self._lease(uid, owner)
        except RecordMissing:
            job = job or self._own(job_of(opened, store=self.store, catalogue=self.catalogue))
            again = republish_moment(opened.sent_ms, retention_s=self.retention_s)
            accept(self.table, self.store, job, fingerprint=uid, republish_at=again)
            log_transition("accepted", job, attempt=0)
            held = self._lease(uid, owner)
        if not isinstance(held, Lease):
            return held
        try:
            job = job or job_of(opened, store=self.store, catalogue=self.catalogue)
        except (ObjectMissing, ObjectChanged, InvalidJob) as error:
            # Nothing can bring the job's body back: a terminal answer beats a message that
            # goes round for days.
            return Ended(record=self._lost_body(held, str(error)))
        if job.runtime != self.runtime:
            release(self.table, held)
            raise self._astray()
        in_hand.job, in_hand.lease = job, held
        log_transition("leased", job, attempt=held.attempt)
        return job, held

    def _own(self, job: Job) -> Job:
        """The job, unless it is another runtime's: its message has gone astray."""
        if job.runtime != self.runtime:
            raise self._astray()
        return job

    def _astray(self) -> InvalidJob:
        return InvalidJob([Fault(pointer="/runtime", detail=f"this bridge is {self.runtime}'s")])

    def _lease(self, uid: str, owner: str) -> Lease | Busy | Ended:
        now = now_ms()
        until = now + int(self.lease_s * 1000)
        return lease(self.table, uid, owner=owner, now_ms=now, until_ms=until)

    def _lost_body(self, held: Lease, reason: str) -> Record:
        outcome = Outcome.failed(ErrorCode.INTERNAL, f"the job's body is lost: {reason}")
        done = finish(
            self.table, held.uid, outcome, by=held, nonce=uuid.uuid4().hex, now_ms=now_ms()
        )
        return done.record
