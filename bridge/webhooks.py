"""Webhooks: `python -m bridge.webhooks` calls back clients whose job has ended.

A worker of its own on its own queue, so that a receiver that hangs holds up no job. A message
only says which job it is; the record says whom to call and how often that was tried. After a
failure the message goes and the record is due later: the sweeper sends another then, and
while all wait the queue is empty and no worker is needed.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from standardwebhooks import Webhook

from bridge.egress import Egress
from bridge.errors import EgressFailed, EgressRefused
from bridge.threads import in_thread
from jobs.environment import BadSetting, number, required
from jobs.logs import configure_logs, log_transition
from records.announce import notice_of
from records.aws import SqsQueue
from records.clock import now_ms
from records.connect import connect
from records.dynamo import DynamoTable
from records.errors import RecordsError
from records.queue import Delivery, Queue
from records.record import Record, job_key
from records.table import Table
from records.webhook import Called, WebhookKeys, call_again, called, is_to_call, waits

#: Calls at once. A receiver that hangs takes one for `Egress`'s total time, 20 s.
_AT_ONCE = 50
#: Seconds until a message is looked at again after AWS did not answer.
_PATIENCE_S = 30
_LONG_POLL_S = 20
_GONE = 410


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """Calls whom a message's record names, and notes what came of it."""

    queue: Queue
    table: Table
    egress: Egress
    keys: WebhookKeys
    #: Of the images that a notice names.
    bucket: str
    clock: Callable[[], int] = now_ms

    async def deal_with(self, delivery: Delivery) -> None:
        """One message, from its receipt to its end."""
        try:
            uid = _uid_in(delivery.body)
            item = await in_thread(self.table.get, job_key(uid)) if uid else None
            if item is not None:
                await self._call(Record.from_item(item))
            await in_thread(self.queue.delete, delivery)
        except RecordsError as error:
            log = structlog.get_logger()
            log.warning("webhook left", message_id=delivery.message_id, reason=str(error))
            await asyncio.to_thread(_release, self.queue, delivery)

    async def _call(self, record: Record) -> None:
        if not is_to_call(record) or waits(record, now_ms=self.clock()):
            return
        failure = await self._post(record)
        if failure is None:
            await in_thread(called, self.table, record, Called.DELIVERED)
            log_transition("called", record, attempt=record.calls + 1)
            return
        if failure == str(_GONE):
            await in_thread(called, self.table, record, Called.GONE)
            more = False
        else:
            more = await in_thread(call_again, self.table, record, now_ms=self.clock())
        word = "call_failed" if more else "call_given_up"
        log_transition(word, record, attempt=record.calls + 1, reason=failure)

    async def _post(self, record: Record) -> str | None:
        """Why the call failed, or None."""
        notice = notice_of(record, bucket=self.bucket)
        ended = datetime.fromtimestamp((record.terminal_at or 0) / 1000, UTC)
        body = json.dumps(
            {
                "type": f"job.{record.status}",
                "timestamp": ended.isoformat(),
                "data": notice.model_dump(mode="json"),
            }
        )
        headers = signed(self.keys.secrets(record.tenant), notice.event_id, self.clock(), body)
        try:
            status = await self.egress.post(record.callback or "", body.encode(), headers)
        except (EgressFailed, EgressRefused) as error:
            return str(error)
        return None if 200 <= status < 300 else str(status)


def signed(secrets: list[str], event_id: str, at_ms: int, body: str) -> dict[str, str]:
    """The headers that tell a receiver whose call this is: Standard Webhooks 1.0."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    signatures = (Webhook(secret).sign(event_id, at, body) for secret in secrets)
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(at_ms // 1000),
        "webhook-signature": " ".join(signatures),
    }


async def work(webhooks: Webhooks, stop: asyncio.Event, *, long_poll_s: int) -> None:
    """Deal with messages until told to stop, and then with those in hand."""
    stopping = asyncio.create_task(stop.wait())
    in_hand: set[asyncio.Task[None]] = set()
    while not stop.is_set():
        room = _AT_ONCE - len(in_hand)
        if not room:
            await asyncio.wait({stopping, *in_hand}, return_when=asyncio.FIRST_COMPLETED)
            continue
        try:
            deliveries = await asyncio.to_thread(
                webhooks.queue.receive, limit=room, wait_s=long_poll_s
            )
        except RecordsError as error:
            structlog.get_logger().warning("queue unavailable", reason=str(error))
            await asyncio.wait({stopping}, timeout=_PATIENCE_S)
            continue
        for delivery in deliveries:
            task = asyncio.create_task(webhooks.deal_with(delivery))
            in_hand.add(task)
            task.add_done_callback(in_hand.discard)
            task.add_done_callback(_look_at)
    stopping.cancel()
    if in_hand:
        await asyncio.wait(in_hand)


def _look_at(task: asyncio.Task[None]) -> None:
    """Say what nobody has foreseen; the message comes again after the visibility timeout."""
    error = task.exception()
    if error is not None:
        structlog.get_logger().error("unforeseen", kind=type(error).__name__)


def _uid_in(body: str) -> str | None:
    try:
        return str(json.loads(body)["job"]["uid"])
    except (ValueError, KeyError, TypeError):
        structlog.get_logger().error("no notice", bytes=len(body))
        return None


def _release(queue: Queue, delivery: Delivery) -> None:
    try:
        queue.release(delivery, delay_s=_PATIENCE_S)
    except RecordsError:
        structlog.get_logger().warning("not released", message_id=delivery.message_id)


async def _run(webhooks: Webhooks, long_poll_s: int) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await work(webhooks, stop, long_poll_s=long_poll_s)


def main() -> int:
    """The process's exit status."""
    configure_logs(os.environ, process="webhooks")
    try:
        long_poll_s = int(number(os.environ, "DARKROOM_LONG_POLL_S", _LONG_POLL_S))
        webhooks = Webhooks(
            queue=SqsQueue(
                connect("sqs", long_poll=True), required(os.environ, "DARKROOM_WEBHOOKS_QUEUE_URL")
            ),
            table=DynamoTable(connect("dynamodb"), required(os.environ, "DARKROOM_JOB_TABLE")),
            egress=Egress(),
            keys=WebhookKeys.from_text(required(os.environ, "DARKROOM_WEBHOOK_KEYS")),
            bucket=required(os.environ, "DARKROOM_BUCKET"),
        )
    except BadSetting as error:
        sys.stderr.write(f"webhooks: {error}\n")
        return 2
    asyncio.run(_run(webhooks, long_poll_s))
    return 0


if __name__ == "__main__":
    sys.exit(main())
