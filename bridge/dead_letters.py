"""What SQS took away after too many receipts: `python -m bridge.dead_letters`, run by a timer.

The receive limit is a backstop: it also counts releases, which cost a job nothing. So a job
that has attempts left goes back to its queue; one that has none, or comes back again and
again, fails as `dead_lettered`, and its message is put aside for a person. A message is
deleted last of all: killed anywhere before, this finds it again.

`--every SECONDS` repeats it until SIGTERM, where no timer runs it.
"""

import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import structlog

from bridge import timer
from bridge.endings import Endings
from bridge.envelope import open_delivery
from bridge.in_hand import InHand
from bridge.process import known_outcome
from bridge.taker import Taker
from jobs.environment import BadSetting, number, read_catalogue, required
from jobs.errors import InvalidCatalogue, InvalidJob, NewerSchema
from jobs.job import Job
from jobs.logs import configure_logs, log_transition
from jobs.outcome import Outcome
from jobs.status import ErrorCode, Status
from records.aws import S3Store, SnsTopic, SqsQueue
from records.clock import now_ms
from records.connect import connect
from records.dynamo import DynamoTable
from records.errors import LeaseLost, RecordsError
from records.lease import Busy, Ended, Lease, release
from records.parked import park
from records.publish import message_of
from records.queue import RETENTION_S, Delivery, Queue
from records.record import Record

#: Ways back to the queue that a job has. Each is fifty receipts, half a day of an outage.
TRIPS = 5
#: Seconds until a message is looked at again that a newer release must read.
_ROLLOUT_S = 60
#: Longer than one message takes, and soon enough after a death of ours.
_LEASE_S = 30


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """One runtime's queue of dead letters, and where its messages may go."""

    dead: Queue
    jobs: Queue
    parked: Queue
    taker: Taker
    endings: Endings

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Those of the runtime that the environment names; `BadSetting` names a variable."""
        sqs = connect("sqs")
        table = DynamoTable(connect("dynamodb"), required(environ, "DARKROOM_JOB_TABLE"))
        store = S3Store(connect("s3"), required(environ, "DARKROOM_BUCKET"))
        notices = SnsTopic(connect("sns"), required(environ, "DARKROOM_NOTICES_TOPIC_ARN"))
        return cls(
            dead=SqsQueue(sqs, required(environ, "DARKROOM_DEAD_LETTERS_QUEUE_URL")),
            jobs=SqsQueue(sqs, required(environ, "DARKROOM_QUEUE_URL")),
            parked=SqsQueue(sqs, required(environ, "DARKROOM_PARKED_QUEUE_URL")),
            taker=Taker(
                owner=f"dead-letters-{os.getpid()}",
                runtime=required(environ, "DARKROOM_RUNTIME"),
                catalogue=read_catalogue(environ),
                table=table,
                store=store,
                lease_s=_LEASE_S,
                retention_s=number(environ, "DARKROOM_QUEUE_RETENTION_S", RETENTION_S, least=60),
            ),
            endings=Endings(table=table, store=store, notices=notices),
        )

    def work(self) -> Mapping[str, int]:
        """Deal with all there are; how many came to what."""
        done: Counter[str] = Counter()
        while deliveries := self.dead.receive(limit=10, wait_s=0):
            for delivery in deliveries:
                done[self._deal_with(delivery)] += 1
        return done

    def _deal_with(self, delivery: Delivery) -> str:
        log = structlog.get_logger().bind(message_id=delivery.message_id)
        try:
            return self._judge(delivery)
        except NewerSchema:
            self.dead.release(delivery, delay_s=_ROLLOUT_S)
            return "left"
        except InvalidJob as error:
            reason = f"{type(error).__name__}, faults: {len(error.faults)}"
            log.error("message parked", reason=reason)
            self._put_aside(delivery, reason=reason)
            return "parked"
        except (RecordsError, LeaseLost) as error:
            # It stays here, and is visible again after the queue's timeout.
            log.warning("not dealt with", reason=str(error))
            return "left"

    def _judge(self, delivery: Delivery) -> str:
        in_hand = InHand()
        taken = self.taker.take(open_delivery(delivery), in_hand)
        match taken:
            case Busy():
                # Another copy of it is at work; what comes of that is in the record then.
                self.dead.release(delivery, delay_s=(taken.until_ms - now_ms()) // 1000 + 1)
                return "left"
            case Ended():
                return self._ended(delivery, taken.record)
            case (job, held):
                return self._taken(delivery, job, held)

    def _taken(self, delivery: Delivery, job: Job, held: Lease) -> str:
        outcome = known_outcome(self.endings, job, held)
        if outcome is None and held.trips < TRIPS:
            # Released before it is sent: whoever receives it must not find it leased.
            release(self.taker.table, held, trip=True)
            self.jobs.send(message_of(self.taker.store, job))
            self.dead.delete(delivery)
            log_transition("sent_back", job, attempt=held.attempt, trip=held.trips + 1)
            return "sent_back"
        if outcome is None or (outcome.status is Status.FAILED and not outcome.document_key):
            why = _why(held, outcome)
            record = self.endings.fail(job, held, ErrorCode.DEAD_LETTERED, why)
        else:
            record = self.endings.end(job, held, outcome)
        return self._ended(delivery, record)

    def _ended(self, delivery: Delivery, record: Record) -> str:
        self.endings.announce(record)
        error = record.outcome.error if record.outcome else None
        if error is not None and error.code is ErrorCode.DEAD_LETTERED:
            self._put_aside(delivery, reason=error.message, uid=record.uid)
            return "dead_lettered"
        self.dead.delete(delivery)
        return "ended"

    def _put_aside(self, delivery: Delivery, *, reason: str, uid: str | None = None) -> None:
        park(self.parked, delivery.body, reason=reason, uid=uid)
        self.dead.delete(delivery)


def _why(held: Lease, outcome: Outcome | None) -> str:
    if outcome is not None and outcome.error is not None:
        return outcome.error.message
    return f"came back from the dead letters {held.trips} times"


def main(arguments: list[str]) -> int:
    """The process's exit status."""
    configure_logs(os.environ, process="dead-letters")
    try:
        letters = DeadLetters.from_env(os.environ)
    except (BadSetting, InvalidCatalogue) as error:
        sys.stderr.write(f"dead_letters: {error}\n")
        return 2

    def once() -> bool:
        try:
            done = letters.work()
        except RecordsError as error:
            structlog.get_logger().warning("dead letters unavailable", reason=str(error))
            return False
        if done:
            structlog.get_logger().info("dead letters", **done)
        return True

    return timer.run(once, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
