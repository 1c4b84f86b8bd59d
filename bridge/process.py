"""The decision: what one message needs, from its receipt to its verdict."""

import asyncio
import traceback
from contextlib import suppress
from dataclasses import dataclass

import structlog

from bridge.endings import Endings
from bridge.envelope import open_delivery
from bridge.errors import BridgeError
from bridge.generation import CancelRequested, Generation
from bridge.in_hand import InHand
from bridge.serve_client import ServeClient
from bridge.sources import Sources
from bridge.taker import Taker
from bridge.threads import in_thread
from bridge.verdict import Done, Reject, Release, Verdict, verdict_for
from jobs.errors import JobsError
from jobs.job import Job
from jobs.logs import log_transition
from jobs.outcome import Outcome
from jobs.status import ErrorCode
from records.clock import now_ms
from records.errors import RecordsError
from records.lease import Busy, Ended, Lease, release
from records.queue import Delivery

#: Attempts that Serve accepts before the job counts as failed.
ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class Processor:
    """Turns a delivery into a verdict. Every step may be repeated after a crash."""

    taker: Taker
    endings: Endings
    serve: ServeClient
    sources: Sources
    #: How long to wait for room in Serve.
    patience_s: float
    attempt_timeout_s: float

    async def process(self, delivery: Delivery, in_hand: InHand) -> Verdict:
        """Bring the delivery's job to its end, or say why not now."""
        try:
            return await self._process(delivery, in_hand)
        except asyncio.CancelledError:
            # We are told to stop: somebody else shall have the job, at once.
            return await self._give_back(in_hand)
        except Exception as error:  # noqa: BLE001  # the one place where errors become verdicts
            return await self._conclude(error, in_hand)

    async def _process(self, delivery: Delivery, in_hand: InHand) -> Verdict:
        opened = open_delivery(delivery)
        taken = await in_thread(self.taker.take, opened, in_hand)
        match taken:
            case Busy():
                seconds = max(1.0, (taken.until_ms - now_ms()) / 1000)
                return Release(delay_s=seconds, reason="another bridge has the job")
            case Ended():
                await in_thread(self.endings.announce, taken.record)
                return Done()
            case (job, held):
                return await self._work(job, held, in_hand)

    async def _work(self, job: Job, held: Lease, in_hand: InHand) -> Verdict:
        known = await in_thread(known_outcome, self.endings, job, held)
        if known is not None:
            await in_thread(self.endings.end, job, held, known)
            return Done()
        generation = in_hand.generation = Generation(
            job,
            held,
            serve=self.serve,
            sources=self.sources,
            table=self.taker.table,
            store=self.taker.store,
            lease_s=self.taker.lease_s,
            patience_s=self.patience_s,
            attempt_timeout_s=self.attempt_timeout_s,
        )
        try:
            generated = await generation.run()
        except CancelRequested:
            await in_thread(self.endings.end, job, generation.held, Outcome.canceled())
            return Done()
        # In one go, so that to be told to stop cannot part document, record and notice.
        await in_thread(self.endings.succeed, job, generation.held, generated)
        return Done()

    async def _conclude(self, error: Exception, in_hand: InHand) -> Verdict:
        """The verdict on an error, with the record as the verdict has it."""
        if not isinstance(error, BridgeError | JobsError | RecordsError):
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename}:{where.lineno}"
            structlog.get_logger().error("unforeseen", kind=type(error).__name__, where=place)
        verdict = verdict_for(error)
        job, held = in_hand.job, in_hand.held
        if job is None or held is None:
            return verdict
        try:
            match verdict:
                case Reject():
                    return await in_thread(self._fail, job, held, verdict)
                case Release():
                    return await in_thread(self._again, job, held, verdict)
        except asyncio.CancelledError:
            return await self._give_back(in_hand)
        except RecordsError as down:
            return verdict_for(down)
        return verdict

    def _again(self, job: Job, held: Lease, verdict: Release) -> Verdict:
        """Another attempt later, if there is one left."""
        if verdict.alone and held.alone:
            message = "the job does not fit onto the device, not even alone"
            return self._fail(job, held, Reject(code=ErrorCode.OUT_OF_MEMORY, message=message))
        if held.attempt >= ATTEMPTS:
            message = f"gave up after {held.attempt} attempts: {verdict.reason}"
            return self._fail(job, held, Reject(code=ErrorCode.INTERNAL, message=message))
        release(self.taker.table, held, alone=verdict.alone)
        log_transition("released", job, attempt=held.attempt, reason=verdict.reason)
        return verdict

    def _fail(self, job: Job, held: Lease, verdict: Reject) -> Verdict:
        self.endings.fail(job, held, verdict.code, verdict.message)
        return verdict

    async def _give_back(self, in_hand: InHand) -> Verdict:
        if in_hand.job is not None and in_hand.held is not None:
            # If the table does not answer the lease runs out by itself; the message goes back now.
            with suppress(RecordsError):
                await in_thread(release, self.taker.table, in_hand.held)
                attempt = in_hand.held.attempt
                log_transition("released", in_hand.job, attempt=attempt, reason="stopping")
        return Release(delay_s=0, reason="stopping")


def known_outcome(endings: Endings, job: Job, held: Lease) -> Outcome | None:
    """The outcome of a job that needs no generation any more."""
    if held.cancel_requested:
        return Outcome.canceled()
    uploaded = endings.uploaded(job, held)
    if uploaded is not None:
        return uploaded
    if job.deadline is not None and job.deadline.timestamp() * 1000 <= now_ms():
        return Outcome.expired()
    if held.attempt >= ATTEMPTS:
        return Outcome.failed(ErrorCode.INTERNAL, f"gave up after {held.attempt} attempts")
    return None
