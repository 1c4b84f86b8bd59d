"""Announcing: every terminal state reaches the subscribers, in the guidance's words."""

import json
from dataclasses import replace

import pytest

from jobs.outcome import Outcome
from jobs.status import TERMINAL, ErrorCode, Status
from records.announce import announce, notice_of
from records.finish import cancel, finish
from records.sweep import Sweep
from records.webhook import ON_ITS_WAY_MS

#: The keys of a notice of AWS's guidance, whose clients read ours unchanged.
GUIDANCE = {"runtime", "id", "result", "status", "image_url", "output_url", "context"}


def ended(world, outcome, **changed):
    """The record of a job that ended with `outcome`."""
    held = world.running(**changed)
    return finish(
        world.table, held.uid, outcome, by=held, nonce="n", now_ms=world.now + 10_000
    ).record


def announced(world, record, *, at=11_000):
    """Announce `record`, by default a second after it ended."""
    bucket = world.store.bucket
    return announce(world.table, world.notices, record, bucket=bucket, now_ms=world.now + at)


def test_a_success_is_announced_with_the_guidances_seven_keys(world):
    """Their names and values at the top, ours below `job`."""
    keys = ("default/order-7/order-7-ab12-1.png", "default/order-7/order-7-ab12-2.png")
    outcome = world.succeeded(*keys, document="default/order-7/order-7-ab12.out")
    record = ended(world, outcome, id="order-7", context={"chat": 5}, metadata={"a": "b"})
    announced(world, record)
    [body] = world.receive(world.inbox)
    notice = json.loads(body)
    ours = notice.pop("job")
    bucket = world.store.bucket
    assert notice == {
        "runtime": "demo",
        "id": "order-7",
        "result": True,
        "status": "completed",
        "image_url": [f"s3://{bucket}/{key}" for key in keys],
        "output_url": f"s3://{bucket}/default/order-7/order-7-ab12.out",
        "context": {"chat": 5},
    }
    assert set(notice) == GUIDANCE
    assert (ours["uid"], ours["tenant"], ours["status"]) == (record.uid, "default", "succeeded")
    assert (ours["attempts"], ours["metadata"], ours["task"]) == (1, {"a": "b"}, "text-to-image")
    assert [output["key"] for output in ours["outputs"]] == list(keys)
    assert all(output["sha256"] == "0" * 64 for output in ours["outputs"])
    assert "url" not in ours["outputs"][0]


def test_a_failure_is_announced_as_failed_with_its_reason(world):
    """No images, result false; the code is for programs, the sentence for people."""
    record = ended(world, Outcome.failed(ErrorCode.OUT_OF_MEMORY, "the model does not fit"))
    announced(world, record)
    [body] = world.receive(world.inbox)
    notice = json.loads(body)
    assert set(notice) == {*GUIDANCE, "job"}
    assert (notice["result"], notice["status"]) == (False, "failed")
    assert (notice["image_url"], notice["output_url"]) == ([], None)
    assert notice["context"] == {}
    assert notice["job"]["error"] == {"code": "out_of_memory", "message": "the model does not fit"}


def test_every_terminal_state_is_completed_or_failed(world):
    """The guidance knows no other words; which it was stands below `job`."""
    record = ended(world, Outcome.canceled())
    assert len(TERMINAL) == 4
    for status in TERMINAL:
        notice = notice_of(record_as(record, status), bucket="b")
        assert notice.status == ("completed" if status is Status.SUCCEEDED else "failed")
        assert notice.result is (status is Status.SUCCEEDED)
        assert notice.job["status"] == status
        assert notice.attributes()["event"] == f"job.{status}"


def record_as(record, status):
    """`record` with another terminal state."""
    return replace(record, status=status, outcome=Outcome(status=status))


def test_the_attributes_are_event_status_runtime_and_tenant(world):
    """What subscribers filter by; all are words without surprises."""
    record = ended(world, Outcome.canceled(), tenant="acme", runtime="other")
    assert notice_of(record, bucket="b").attributes() == {
        "event": "job.canceled",
        "status": "failed",
        "runtime": "other",
        "tenant": "acme",
    }


def test_an_announced_record_says_when_and_waits_no_longer(world):
    """The sweeper has nothing to do for it."""
    record = ended(world, Outcome.canceled())
    assert world.index("unannounced") == [record.uid]
    told = announced(world, record)
    assert told == world.record(record.uid)
    assert told.notified_at == world.now + 11_000
    assert world.index("unannounced") == []


def test_a_notice_sent_twice_has_the_same_event_id(world):
    """Notices come at least once: a subscriber drops the second by its id."""
    record = ended(world, world.succeeded("a/b-1.png"))
    announced(world, record)
    announced(world, world.record(record.uid), at=99_000)
    first, second = world.receive(world.inbox, 2)
    assert json.loads(first)["job"]["event_id"] == json.loads(second)["job"]["event_id"]
    assert first == second


def test_two_jobs_never_share_an_event_id(world):
    """Also when a client gave both the same id in two families or tenants."""
    one = ended(world, Outcome.canceled(), id="order-7")
    two = ended(world, Outcome.canceled(), id="order-7", tenant="acme")
    ids = {notice_of(record, bucket="b").event_id for record in (one, two)}
    assert len(ids) == 2


@pytest.mark.parametrize("gone", [False, True])
def test_who_cancels_a_queued_job_announces_it(world, gone):
    """The record alone is enough; announcing makes no record of one that is gone."""
    job = world.queued()
    record = cancel(world.table, job.uid, nonce="n", now_ms=world.now).record
    if gone:
        record = record_of_nobody(record, world.job().uid)
    announced(world, record)
    [body] = world.receive(world.inbox)
    assert json.loads(body)["job"]["uid"] == record.uid
    if gone:
        assert world.table.get(f"job#{record.uid}") is None


def record_of_nobody(record, uid):
    """`record` under a uid that the table does not have."""
    return replace(record, uid=uid)


def test_only_a_job_with_a_callback_reaches_the_webhooks_queue(world):
    """The filter policy keeps the worker asleep for all others."""
    called = world.queued(callback="https://example.org/hook")
    silent = world.queued()
    for job in (silent, called):
        done = cancel(world.table, job.uid, nonce="n", now_ms=world.now)
        announce(
            world.table, world.notices, done.record, bucket=world.store.bucket, now_ms=world.now
        )
    [body] = world.receive(world.webhooks)
    assert json.loads(body)["job"]["uid"] == called.uid
    assert world.index("due") == [called.uid]
    sweeper = world.sweeper()
    assert sweeper.sweep(now_ms=world.now + ON_ITS_WAY_MS) == Sweep(called=1)
    world.receive(world.webhooks)
    assert sweeper.sweep(now_ms=world.now + ON_ITS_WAY_MS + 1) == Sweep()
