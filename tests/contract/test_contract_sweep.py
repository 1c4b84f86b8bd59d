"""Sweeping: what a crash left half done is mended, once."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from jobs.message import Message
from jobs.outcome import Outcome
from jobs.status import Status
from records.announce import announce
from records.errors import ObjectMissing, Unavailable
from records.finish import finish
from records.lease import release
from records.publish import publish
from records.record import job_key
from records.sweep import UNANNOUNCED_MS, UNPUBLISHED_MS, Sweep
from records.table import Change


def sweep(world, *, at):
    """A sweep `at` ms from now."""
    return world.sweeper().sweep(now_ms=world.now + at)


def published(world, **more):
    """A job that was accepted and published, and whose message was received and lost."""
    job = world.job()
    world.accept(job, **more)
    publish(world.table, world.store, world.jobs, job, now_ms=world.now)
    world.receive(world.queues["demo"])
    return job


def in_(world, seconds):
    """The moment so many seconds from now."""
    return datetime.fromtimestamp(world.now / 1000, UTC) + timedelta(seconds=seconds)


def test_a_job_that_was_accepted_and_not_published_is_published(world):
    """The API died in between; the job ends like any other."""
    job = world.queued()
    assert sweep(world, at=UNPUBLISHED_MS) == Sweep()
    assert sweep(world, at=UNPUBLISHED_MS + 1) == Sweep(published=1)
    [body] = world.receive(world.queues["demo"])
    assert Message.decode(body).job == job
    assert world.record(job.uid).published_at == world.now + UNPUBLISHED_MS + 1
    assert sweep(world, at=UNPUBLISHED_MS + 2) == Sweep()


def test_a_job_that_waits_too_long_is_published_again_once(world):
    """Its queue may have lost the message; the second is harmless by the lease."""
    job = published(world, republish_at=world.now + 5000)
    assert sweep(world, at=4999) == Sweep()
    assert sweep(world, at=5000) == Sweep(republished=1)
    assert world.record(job.uid).republished_at == world.now + 5000
    [body] = world.receive(world.queues["demo"])
    assert Message.decode(body).uid == job.uid
    assert sweep(world, at=900_000) == Sweep()
    world.lease(job, now=world.now + 1_000_000)
    assert sweep(world, at=1_006_000) == Sweep()


def test_a_job_whose_message_is_lost_twice_fails(world):
    """No queue can have it any more: a terminal answer beats waiting for ever."""
    job = published(world, republish_at=world.now + 5000)
    assert sweep(world, at=5000) == Sweep(republished=1)
    world.receive(world.queues["demo"])
    assert sweep(world, at=1_004_999) == Sweep()
    assert sweep(world, at=1_005_000) == Sweep(expired=1)
    record = world.record(job.uid)
    assert (record.status, record.outcome.error.code) == (Status.FAILED, "dead_lettered")
    [body] = world.receive(world.inbox)
    assert json.loads(body)["job"]["status"] == "failed"
    assert world.index("due") == []


def test_a_job_that_somebody_works_on_is_not_published_again(world):
    """Its message is in flight, not lost."""
    job = published(world, republish_at=world.now + 5000)
    held = world.lease(job)
    assert sweep(world, at=5000) == Sweep()
    assert world.queues["demo"].depth() == (0, 0)
    release(world.table, held)
    # Back in the queue, and its message may be lost by now: it is still looked after.
    assert sweep(world, at=900_000) == Sweep(republished=1)


def test_a_job_whose_owner_died_with_its_message_is_published_again(world):
    """The lease has run out and nobody will release it."""
    job = published(world, republish_at=world.now + 5000)
    world.lease(job)
    assert sweep(world, at=5000) == Sweep()
    assert sweep(world, at=900_000) == Sweep(republished=1)


def test_one_record_that_cannot_be_published_does_not_hold_up_the_others(world):
    """Whatever it has that SNS or the bucket refuses."""
    bad, good = world.queued(), world.queued()

    class Picky:
        def publish(self, body, attributes):
            if bad.uid in body:
                raise Unavailable("SNS Publish: InvalidParameter")
            world.jobs.publish(body, attributes)

    done = world.without(jobs=Picky()).sweeper().sweep(now_ms=world.now + UNPUBLISHED_MS + 1)
    assert done == Sweep(published=1)
    assert world.record(good.uid).published_at is not None
    assert world.record(bad.uid).published_at is None


def test_a_job_past_its_deadline_expires_and_is_announced(world):
    """It has not started by then; its subscribers are told at once."""
    job = world.queued(deadline=in_(world, 5))
    publish(world.table, world.store, world.jobs, job, now_ms=world.now)
    assert sweep(world, at=4999) == Sweep()
    assert sweep(world, at=5000) == Sweep(expired=1)
    record = world.record(job.uid)
    assert (record.status, record.outcome.error.code) == (Status.EXPIRED, "deadline_exceeded")
    assert record.notified_at == world.now + 5000
    [body] = world.receive(world.inbox)
    assert json.loads(body)["job"]["status"] == "expired"
    assert sweep(world, at=900_000) == Sweep()


def test_a_job_that_runs_at_its_deadline_is_left_to_its_owner(world):
    """The deadline is for the start."""
    job = world.queued(deadline=in_(world, 5))
    publish(world.table, world.store, world.jobs, job, now_ms=world.now)
    held = world.lease(job)
    assert sweep(world, at=5000) == Sweep()
    assert world.record(job.uid).status is Status.STARTING
    release(world.table, held)


def test_a_job_whose_owner_died_expires_at_its_deadline(world):
    """Its lease has run out, and its message may be lost with the owner."""
    job = world.queued(deadline=in_(world, 5))
    publish(world.table, world.store, world.jobs, job, now_ms=world.now)
    world.lease(job)
    assert sweep(world, at=59_999) == Sweep()
    assert sweep(world, at=900_000) == Sweep(expired=1)
    assert world.record(job.uid).status is Status.EXPIRED


def test_a_job_with_a_late_deadline_is_published_again_and_then_expires(world):
    """Being due once does not make it forget the other time."""
    job = world.job(deadline=in_(world, 9))
    world.accept(job, republish_at=world.now + 5000)
    publish(world.table, world.store, world.jobs, job, now_ms=world.now)
    assert sweep(world, at=5000) == Sweep(republished=1)
    assert sweep(world, at=8999) == Sweep()
    assert sweep(world, at=9000) == Sweep(expired=1)


def ended(world):
    """The record of a job that ended now and was not announced."""
    held = world.running()
    publish(world.table, world.store, world.jobs, world.job(uid=held.uid), now_ms=world.now)
    return finish(
        world.table, held.uid, Outcome.canceled(), by=held, nonce="n", now_ms=world.now
    ).record


def test_a_job_that_ended_and_was_not_announced_is_announced(world):
    """The bridge died in between; the subscribers are told late, but told."""
    record = ended(world)
    assert sweep(world, at=UNANNOUNCED_MS) == Sweep()
    assert sweep(world, at=UNANNOUNCED_MS + 1) == Sweep(announced=1)
    [body] = world.receive(world.inbox)
    assert json.loads(body)["job"]["uid"] == record.uid
    assert world.record(record.uid).notified_at == world.now + UNANNOUNCED_MS + 1
    assert sweep(world, at=UNANNOUNCED_MS + 2) == Sweep()


def test_a_job_that_was_announced_is_not_announced_again(world):
    """A sweep is not a second notice."""
    record = ended(world)
    announce(world.table, world.notices, record, bucket=world.store.bucket, now_ms=world.now)
    world.receive(world.inbox)
    assert sweep(world, at=900_000) == Sweep()
    assert world.inbox.depth() == (0, 0)


def test_an_empty_table_needs_no_mending(world):
    """A sweep of nothing is three queries."""
    assert sweep(world, at=900_000) == Sweep()


def test_a_sweep_goes_through_more_jobs_than_a_page_holds(world):
    """Jobs that a sweep mends leave the index while it is read."""
    jobs = {world.queued().uid for _ in range(103)}
    assert sweep(world, at=UNPUBLISHED_MS + 1) == Sweep(published=103)
    assert world.index("unpublished") == []
    bodies = world.receive(world.queues["demo"], 103)
    assert {Message.decode(body).uid for body in bodies} == jobs


def newer(world):
    """A job whose record a newer release wrote."""
    job = world.queued()
    body = json.dumps({**json.loads(job.encode()), "schema_version": 99})
    world.table.update(job_key(job.uid), Change(set={"body": body}))
    return job


def without_object(world):
    """A job whose body was in the bucket and is not any more."""
    job = world.queued()
    world.table.update(job_key(job.uid), Change(set={"body_sha256": "0" * 64}, remove=["body"]))
    with pytest.raises(ObjectMissing):
        world.store.get(f"requests/{job.uid}.json")
    return job


@pytest.mark.parametrize("unreadable", [newer, without_object])
def test_a_job_that_cannot_be_read_does_not_keep_others_waiting(world, unreadable):
    """It stays for a release that can read it; the sweep goes on."""
    stuck = unreadable(world)
    job = world.job(created_at=in_(world, 1))
    world.accept(job)
    assert sweep(world, at=UNPUBLISHED_MS + 2000) == Sweep(published=1)
    assert world.record(job.uid).published_at is not None
    assert world.index("unpublished") == [stuck.uid]
