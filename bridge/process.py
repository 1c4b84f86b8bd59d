"""The decision: what one message needs, from its receipt to its verdict."""

import asyncio
import json
import traceback
import uuid
from contextlib import suppress
from dataclasses import dataclass

import structlog

from bridge.envelope import Opened, job_of, open_delivery
from bridge.errors import BridgeError, JobRefused, ServeUnavailable
from bridge.generation import CancelRequested, Generated, Generation, refused
from bridge.serve_client import ServeClient
from bridge.sources import Sources
from bridge.threads import in_thread
from bridge.verdict import Done, Release, Verdict, verdict_for
from jobs.catalogue import Catalogue
from jobs.errors import Fault, InvalidJob, JobsError
from jobs.job import Job
from jobs.keys import attempt_suffix, document_key
from jobs.logs import log_transition
from jobs.outcome import Failure, Outcome
from jobs.status import ErrorCode, Status
from records.accept import accept
from records.announce import announce
from records.clock import now_ms
from records.errors import (
    ObjectChanged,
    ObjectMissing,
    RecordMissing,
    RecordsError,
    Unavailable,
)
from records.finish import finish
from records.lease import Busy, Ended, Lease, lease, release
from records.queue import Delivery
from records.record import Record, shown_input
from records.store import ObjectStore
from records.table import Table
from records.topic import Topic

#: Attempts that Serve accepts before the job counts as failed.
ATTEMPTS = 5
#: A message sent straight to the topic is on a queue already: it needs no second publication.
_NEVER_MS = 2**53


@dataclass
class InHand:
    """What is known of a message in hand, also to who has to give it back in a hurry."""

    job: Job | None = None
    lease: Lease | None = None
    generation: Generation | None = None

    @property
    def held(self) -> Lease | None:
        """The lease as it is now, with the attempt that Serve has accepted."""
        return self.generation.held if self.generation else self.lease

    @property
    def waiting(self) -> bool:
        """Serve does not know of its job yet."""
        return self.generation is None or not self.generation.placed


@dataclass(frozen=True, kw_only=True)
class Processor:
    """Turns a delivery into a verdict. Every step may be repeated after a crash."""

    bridge: str
    runtime: str
    catalogue: Catalogue
    serve: ServeClient
    sources: Sources
    table: Table
    store: ObjectStore
    notices: Topic
    lease_s: float
    attempt_timeout_s: float

    async def process(self, delivery: Delivery, in_hand: InHand) -> Verdict:
        """Bring the delivery's job to its end, or say why not now."""
        try:
            return await self._process(delivery, in_hand)
        except asyncio.CancelledError:
            # We are told to stop: somebody else shall have the job, at once.
            return await self._give_back(in_hand)
        except Exception as error:  # noqa: BLE001  # the one place where errors become verdicts
            return self._verdict(error)

    def _verdict(self, error: Exception) -> Verdict:
        if not isinstance(error, BridgeError | JobsError | RecordsError):
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename}:{where.lineno}"
            structlog.get_logger().error("unforeseen", kind=type(error).__name__, where=place)
        return verdict_for(error)

    async def _process(self, delivery: Delivery, in_hand: InHand) -> Verdict:
        opened = open_delivery(delivery)
        taken = await in_thread(self._take, opened, in_hand)
        match taken:
            case Busy():
                seconds = max(1.0, (taken.until_ms - now_ms()) / 1000)
                return Release(delay_s=seconds, reason="another bridge has the job")
            case Ended():
                await in_thread(self._announce, taken.record)
                return Done()
            case (job, held):
                return await self._work(job, held, in_hand)

    async def _give_back(self, in_hand: InHand) -> Verdict:
        if in_hand.job is not None and in_hand.held is not None:
            # If the table does not answer the lease runs out by itself; the message goes back now.
            with suppress(RecordsError):
                await in_thread(release, self.table, in_hand.held)
                attempt = in_hand.held.attempt
                log_transition("released", in_hand.job, attempt=attempt, reason="stopping")
        return Release(delay_s=0, reason="stopping")

    def _take(self, opened: Opened, in_hand: InHand) -> tuple[Job, Lease] | Busy | Ended:
        """Lease the message's job, writing its record first if it has none."""
        uid = opened.message.uid
        owner = f"{self.bridge}/{uuid.uuid4().hex[:8]}"
        job: Job | None = None
        if opened.message.reference is None or uid is None:
            job = self._own(job_of(opened, store=self.store, catalogue=self.catalogue))
            uid = job.uid
        try:
            held = self._lease(uid, owner)
        except RecordMissing:
            job = job or self._own(job_of(opened, store=self.store, catalogue=self.catalogue))
            accept(self.table, self.store, job, fingerprint=uid, republish_at=_NEVER_MS)
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
        in_hand.job, in_hand.lease = job, held
        log_transition("leased", job, attempt=held.attempt)
        return job, held

    def _own(self, job: Job) -> Job:
        """The job, unless it is another runtime's: its message has gone astray."""
        if job.runtime != self.runtime:
            raise InvalidJob([Fault(pointer="/runtime", detail=f"this bridge is {self.runtime}'s")])
        return job

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

    async def _work(self, job: Job, held: Lease, in_hand: InHand) -> Verdict:
        decided = _decided(job, held)
        if decided is not None:
            return await self._end(job, held, decided)
        generation = Generation(
            job,
            held,
            serve=self.serve,
            sources=self.sources,
            table=self.table,
            store=self.store,
            lease_s=self.lease_s,
            attempt_timeout_s=self.attempt_timeout_s,
        )
        in_hand.generation = generation
        try:
            generated = await generation.run()
        except CancelRequested:
            return await self._end(job, generation.held, Outcome.canceled())
        except JobRefused as error:
            generated = refused(error)
        except (ServeUnavailable, Unavailable) as error:
            return await self._again(job, generation.held, error)
        failure = generated.failure
        if failure is not None and failure.retryable and generation.held.attempt < ATTEMPTS:
            reason = ServeUnavailable(f"the replica said {failure.code}")
            return await self._again(job, generation.held, reason)
        await in_thread(self._commit, job, generation.held, generated)
        return Done()

    async def _again(self, job: Job, held: Lease, error: Exception) -> Verdict:
        """Another attempt later, if there is one left."""
        if held.attempt >= ATTEMPTS:
            message = f"gave up after {held.attempt} attempts: {error}"
            return await self._end(job, held, Outcome.failed(ErrorCode.INTERNAL, message))
        await in_thread(release, self.table, held)
        log_transition("released", job, attempt=held.attempt, reason=str(error))
        return verdict_for(error)

    def _commit(self, job: Job, held: Lease, generated: Generated) -> None:
        """Document, record, notice: in one go, so that to be told to stop cannot part them."""
        self._record(job, held, self._outcome(job, held, generated), generated)

    def _outcome(self, job: Job, held: Lease, generated: Generated) -> Outcome:
        """The outcome of what was generated, with its document written beside the images."""
        failure = generated.failure
        document = document_key(job.prefix, job.id, attempt_suffix(job.uid, held.attempt))
        outcome = Outcome(
            status=Status.FAILED if failure else Status.SUCCEEDED,
            outputs=generated.outputs,
            error=Failure(code=failure.code, message=failure.message) if failure else None,
            warnings=generated.warnings,
            document_key=document,
            timings=generated.timings,
        )
        text = json.dumps(_document(job, outcome), indent=2)
        self.store.put(document, text.encode(), media_type="application/json")
        return outcome

    async def _end(self, job: Job, held: Lease, outcome: Outcome) -> Verdict:
        await in_thread(self._record, job, held, outcome)
        return Done()

    def _record(
        self, job: Job, held: Lease, outcome: Outcome, generated: Generated | None = None
    ) -> None:
        """Write the terminal state, then announce; only after both may the message go."""
        done = finish(
            self.table,
            job.uid,
            outcome,
            by=held,
            nonce=uuid.uuid4().hex,
            now_ms=now_ms(),
            uploaded_ms=generated.uploaded_ms if generated else None,
            stages=generated.stages if generated else None,
        )
        if done.won:
            log_transition(done.record.status.value, job, attempt=held.attempt)
        self._announce(done.record)

    def _announce(self, record: Record) -> None:
        if record.notified_at is not None or record.deleted_at is not None:
            return
        bucket = self.store.bucket
        announce(self.table, self.notices, record, bucket=bucket, now_ms=now_ms())
        log_transition("announced", record, attempt=record.attempt)


def _decided(job: Job, held: Lease) -> Outcome | None:
    """The outcome of a job that needs no generation any more."""
    if held.cancel_requested:
        return Outcome.canceled()
    if job.deadline is not None and job.deadline.timestamp() * 1000 <= now_ms():
        return Outcome.expired()
    if held.attempt >= ATTEMPTS:
        return Outcome.failed(ErrorCode.INTERNAL, f"gave up after {held.attempt} attempts")
    return None


def _document(job: Job, outcome: Outcome) -> dict[str, object]:
    """The `.out` document: what was asked and what came of it."""
    return {
        "uid": job.uid,
        "id": job.id,
        "runtime": job.runtime,
        "model": job.model,
        "status": outcome.status.value,
        "input": shown_input(job) | {"seed": job.seed},
        "outputs": [output.model_dump(exclude={"url"}) for output in outcome.outputs],
        "error": outcome.error.model_dump(mode="json") if outcome.error else None,
        "warnings": list(outcome.warnings),
        "timings": outcome.timings,
        "metadata": job.metadata,
    }
