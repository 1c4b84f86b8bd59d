"""Calling clients back: signed, past every way inside, again until it works or is given up."""

import asyncio
import base64
import json
from dataclasses import dataclass, field

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from bridge.egress import Egress
from bridge.scripted_web import ScriptedWeb, answer
from bridge.webhooks import Webhooks, signed, work
from jobs.environment import BadSetting
from jobs.outcome import Outcome
from records.accept import accept
from records.announce import announce
from records.clock import now_ms
from records.errors import Unavailable
from records.finish import erase, finish
from records.memory import MemoryQueue, MemoryStore, MemoryTable, MemoryTopic
from records.record import Record, job_key
from records.sweep import Sweep, Sweeper
from records.table import Change
from records.webhook import GAPS_MS, ON_ITS_WAY_MS, Called, WebhookKeys

PUBLIC = "93.184.215.14"
URL = "https://example.org/hook?token=x"
KEYS = WebhookKeys([b"k" * 32])


@dataclass
class Office:
    """A worker over fakes, with a clock that is moved by hand."""

    answers: list[bytes]
    now: int = field(default_factory=now_ms)
    table: MemoryTable = field(default_factory=MemoryTable)
    store: MemoryStore = field(default_factory=MemoryStore)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    keys: WebhookKeys = KEYS

    def __post_init__(self) -> None:
        self.web = ScriptedWeb({"example.org": [PUBLIC]}, {PUBLIC: self.answers})
        self.notices = MemoryTopic([(self.queue, {"webhook": ["yes"]})])
        self.sweeper = Sweeper(
            table=self.table,
            store=self.store,
            jobs=MemoryTopic(),
            notices=self.notices,
            webhooks=self.queue,
            retention_ms=10**9,
        )

    def ended(self, job) -> Record:
        """A job that was canceled and announced."""
        accept(self.table, self.store, job, fingerprint="f", republish_at=self.now + 10**9)
        done = finish(self.table, job.uid, Outcome.canceled(), by=None, nonce="n", now_ms=self.now)
        return announce(self.table, self.notices, done.record, bucket="outputs", now_ms=self.now)

    def record(self, job) -> Record:
        return Record.from_item(self.table.get(job_key(job.uid)))

    def work(self) -> int:
        """Deal with what is in the queue; how many calls were made."""
        webhooks = Webhooks(
            queue=self.queue,
            table=self.table,
            egress=Egress(resolver=self.web.resolver, connector=self.web.connector),
            keys=self.keys,
            bucket="outputs",
            clock=lambda: self.now,
        )

        async def all_there_are() -> None:
            while deliveries := self.queue.receive(limit=10, wait_s=0):
                await asyncio.gather(*(webhooks.deal_with(each) for each in deliveries))

        before = len(self.web.connected)
        asyncio.run(all_there_are())
        return len(self.web.connected) - before

    def sweep(self) -> Sweep:
        return self.sweeper.sweep(now_ms=self.now)

    def sent(self) -> tuple[dict[str, str], bytes]:
        """Headers and body of the last call."""
        head, _, body = bytes(self.web.sent).rpartition(b"POST ")[2].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines), body


def test_a_client_is_called_with_what_became_of_its_job(make_job):
    """Type, time and the notice, signed with the tenant's secret."""
    office, job = Office([answer(204)]), make_job(callback=URL)
    office.ended(job)
    assert office.work() == 1

    headers, body = office.sent()
    [secret] = KEYS.secrets("default")
    payload = Webhook(secret).verify(body, headers)
    assert payload["type"] == "job.canceled"
    assert payload["data"]["job"]["uid"] == job.uid
    assert headers["webhook-id"] == f"{job.uid}:canceled"
    assert headers["host"] == "example.org"
    assert office.record(job).called == Called.DELIVERED
    assert office.queue.depth() == (0, 0)


def test_a_job_without_a_callback_wakes_nobody(make_job):
    """Its notice does not even reach the queue: idle is at zero."""
    office, job = Office([]), make_job()
    record = office.ended(job)
    assert office.queue.depth() == (0, 0)
    assert record.due_at is None


def test_the_url_is_not_in_the_notice(make_job):
    """Every subscriber reads that; the token is the client's."""
    office, job = Office([]), make_job(callback=URL)
    office.ended(job)
    assert "token" not in office.notices.published[0][0]
    assert office.notices.bodies()[0]["job"]["callback"] is True


def test_a_tenant_s_secret_opens_no_other_tenant_s_calls():
    """They follow from one key, and not from each other."""
    headers = signed(KEYS.secrets("acme"), "e", now_ms(), "{}")
    Webhook(KEYS.secrets("acme")[0]).verify("{}", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(KEYS.secrets("other")[0]).verify("{}", headers)


def test_while_a_key_is_replaced_both_secrets_verify():
    """The receiver changes when it likes."""
    both = WebhookKeys([b"n" * 32, b"k" * 32])
    headers = signed(both.secrets("acme"), "e", now_ms(), "{}")
    for keys in (WebhookKeys([b"n" * 32]), KEYS):
        Webhook(keys.secrets("acme")[0]).verify("{}", headers)


@pytest.mark.parametrize("text", ["", "short", "***", base64.b64encode(b"x" * 23).decode()])
def test_a_key_that_is_none_is_named(text):
    """At start, not at the first call."""
    with pytest.raises(BadSetting, match="DARKROOM_WEBHOOK_KEYS"):
        WebhookKeys.from_text(text)


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_a_call_that_fails_is_due_again_after_the_standard_s_gap(make_job, status):
    """The message goes, the time is in the record: the queue is empty while all wait."""
    office, job = Office([answer(status, location="https://example.org/")]), make_job(callback=URL)
    office.ended(job)
    assert office.work() == 1
    record = office.record(job)
    assert (record.calls, record.called) == (1, None)
    assert GAPS_MS[0] <= record.due_at - office.now <= GAPS_MS[0] * 1.1
    assert office.queue.depth() == (0, 0)
    assert office.sweep() == Sweep()

    office.now = record.due_at
    assert office.sweep() == Sweep(called=1)
    assert office.work() == 1
    assert office.record(job).calls == 2


def test_after_the_last_gap_it_is_given_up(make_job):
    """Three days are enough; the record says how it ended."""
    office, job = Office([answer(500)]), make_job(callback=URL)
    office.ended(job)
    calls, began = office.work(), office.now
    while (due_at := office.record(job).due_at) is not None:
        office.now = due_at
        assert office.sweep() == Sweep(called=1)
        calls += office.work()

    assert calls == len(GAPS_MS) + 1
    assert 72 * 3_600_000 < office.now - began < 90 * 3_600_000
    assert office.record(job).called == Called.GAVE_UP
    assert office.sweep() == Sweep()


def test_an_endpoint_that_is_gone_is_not_called_again(make_job):
    """410 says so."""
    office, job = Office([answer(410)]), make_job(callback=URL)
    office.ended(job)
    office.work()
    record = office.record(job)
    assert (record.called, record.due_at) == (Called.GONE, None)


def test_a_callback_inside_is_never_connected_to(make_job):
    """The guard is the same as for pictures."""
    office, job = Office([answer(200)]), make_job(callback=URL)
    office.web.hosts = {"example.org": ["169.254.169.254"]}
    office.ended(job)
    assert office.work() == 0
    assert office.record(job).calls == 1


def test_a_message_that_is_lost_is_sent_again(make_job):
    """The notice did not reach the queue, or the worker died with it."""
    office, job = Office([answer(200)]), make_job(callback=URL)
    office.ended(job)
    for delivery in office.queue.receive(limit=10, wait_s=0):
        office.queue.delete(delivery)
    office.now += ON_ITS_WAY_MS - 1
    assert office.sweep() == Sweep()
    office.now += 1
    assert office.sweep() == Sweep(called=1)
    assert office.work() == 1
    assert office.record(job).called == Called.DELIVERED


def test_a_copy_of_a_message_does_not_call_again(make_job):
    """Neither after a delivery nor while a later call is due."""
    office, job = Office([answer(200)]), make_job(callback=URL)
    record = office.ended(job)
    announce(office.table, office.notices, record, bucket="outputs", now_ms=office.now)
    assert office.queue.depth() == (2, 0)
    [first] = office.queue.receive(limit=1, wait_s=0)
    assert office.work() == 1
    office.queue.release(first)
    assert office.work() == 0

    office, job = Office([answer(500)]), make_job(callback=URL)
    record = office.ended(job)
    for _ in range(3):
        office.work()
        office.now = office.record(job).due_at
        office.sweep()
    office.work()
    assert office.record(job).due_at - office.now > ON_ITS_WAY_MS
    announce(office.table, MemoryTopic([(office.queue, {})]), record, bucket="o", now_ms=office.now)
    calls = office.record(job).calls
    office.table.update(job_key(job.uid), Change(set={"due_at": office.now + 2 * ON_ITS_WAY_MS}))
    assert office.work() == 0
    assert office.record(job).calls == calls


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"job": 5}'])
def test_what_is_no_notice_is_dropped(body):
    """The queue is ours; somebody has sent to it by hand."""
    office = Office([])
    office.queue.send(body)
    assert office.work() == 0
    assert office.queue.depth() == (0, 0)


def test_a_deleted_job_calls_nobody(make_job):
    """Its client wants it forgotten."""
    office, job = Office([answer(200)]), make_job(callback=URL)
    erase(office.table, office.store, office.ended(job), now_ms=office.now)
    assert office.work() == 0
    record = office.record(job)
    assert (record.callback, record.due_at) == (None, None)


def test_the_loop_takes_messages_until_it_is_told_to_stop(make_job):
    """And ends with those in hand."""
    office, job = Office([answer(200)]), make_job(callback=URL)
    office.ended(job)

    async def scenario() -> None:
        stop = asyncio.Event()
        webhooks = Webhooks(
            queue=office.queue,
            table=office.table,
            egress=Egress(resolver=office.web.resolver, connector=office.web.connector),
            keys=KEYS,
            bucket="outputs",
        )
        running = asyncio.create_task(work(webhooks, stop, long_poll_s=0))
        while office.record(job).called is None:
            await asyncio.sleep(0.001)
        stop.set()
        await asyncio.wait_for(running, 10)

    asyncio.run(scenario())
    assert office.queue.depth() == (0, 0)


def test_an_outage_of_the_table_leaves_the_message(make_job, monkeypatch):
    """It comes again."""
    office, job = Office([answer(200)]), make_job(callback=URL)
    office.ended(job)

    def down(*_):
        raise Unavailable("injected")

    monkeypatch.setattr(office.table, "get", down)
    assert office.work() == 0
    assert office.queue.depth() == (0, 1)


def test_what_is_called_back_is_json_of_one_shape(make_job):
    """`type`, `timestamp`, `data`: nothing else, the same at each try."""
    office, job = Office([answer(500)]), make_job(callback=URL)
    office.ended(job)
    office.work()
    first = office.sent()[1]
    office.now = office.record(job).due_at
    office.sweep()
    office.work()
    assert office.sent()[1] == first
    assert set(json.loads(first)) == {"type", "timestamp", "data"}
