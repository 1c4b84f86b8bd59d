"""How a job ends: document, record, notice, in this order; only then may its message go.

Each step may be repeated, so whoever gets the job after a crash goes on where it broke off.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.generation import Generated
from jobs.job import Job
from jobs.keys import attempt_suffix, document_key
from jobs.logs import log_transition
from jobs.outcome import Failure, Outcome
from jobs.status import ErrorCode, Status
from records.announce import announce
from records.clock import now_ms
from records.document import document, outcome_in
from records.errors import ObjectMissing
from records.finish import finish
from records.lease import Lease
from records.record import Record
from records.store import ObjectStore
from records.table import Table
from records.topic import Topic


@dataclass(frozen=True, kw_only=True)
class Endings:
    """Ends the jobs whose lease its caller holds."""

    table: Table
    store: ObjectStore
    notices: Topic

    def succeed(self, job: Job, held: Lease, generated: Generated) -> None:
        """All images are uploaded."""
        outcome = Outcome(
            status=Status.SUCCEEDED,
            outputs=generated.outputs,
            warnings=generated.warnings,
            timings=generated.timings,
        )
        outcome = self._documented(job, held, outcome)
        self.end(job, held, outcome, uploaded_ms=generated.uploaded_ms, stages=generated.stages)

    def fail(self, job: Job, held: Lease, code: ErrorCode, message: str) -> Record:
        """The job is at fault, or has used up its attempts."""
        outcome = Outcome(status=Status.FAILED, error=Failure(code=code, message=message))
        return self.end(job, held, self._documented(job, held, outcome))

    def end(
        self,
        job: Job,
        held: Lease,
        outcome: Outcome,
        *,
        uploaded_ms: int | None = None,
        stages: Mapping[str, int] | None = None,
    ) -> Record:
        """Write the terminal state, then announce it; the record as it is then."""
        done = finish(
            self.table,
            job.uid,
            outcome,
            by=held,
            nonce=uuid.uuid4().hex,
            now_ms=now_ms(),
            uploaded_ms=uploaded_ms,
            stages=stages,
        )
        if done.won:
            log_transition(done.record.status.value, job, attempt=held.attempt)
        return self.announce(done.record)

    def announce(self, record: Record) -> Record:
        """Announce a job that has ended, unless that was done."""
        if record.notified_at is not None or record.deleted_at is not None:
            return record
        bucket = self.store.bucket
        record = announce(self.table, self.notices, record, bucket=bucket, now_ms=now_ms())
        log_transition("announced", record, attempt=record.attempt)
        return record

    def uploaded(self, job: Job, held: Lease) -> Outcome | None:
        """What an owner before us had uploaded, whole, and died before it was recorded."""
        if not held.attempt:
            return None
        key = _key(job, held)
        try:
            data = self.store.get(key)
        except ObjectMissing:
            return None
        return outcome_in(data, job, held.attempt, key=key)

    def _documented(self, job: Job, held: Lease, outcome: Outcome) -> Outcome:
        """`outcome` with its document written."""
        outcome = outcome.model_copy(update={"document_key": _key(job, held)})
        data = document(job, held.attempt, outcome)
        self.store.put(_key(job, held), data, media_type="application/json")
        return outcome


def _key(job: Job, held: Lease) -> str:
    return document_key(job.prefix, job.id, attempt_suffix(job.uid, held.attempt))
