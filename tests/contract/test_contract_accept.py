"""Accepting: the same id with the same body is the same job."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.inputs import ImageToImage
from jobs.job import Family, Job
from jobs.keys import request_key
from jobs.status import Status
from jobs.uid import new_uid
from records.accept import find
from records.errors import IdInUse, ObjectMissing
from records.record import MAX_BODY_BYTES, job_key, load_job


def test_an_accepted_job_is_queued_and_its_record_holds_the_whole_job(world):
    """Nobody has it, nothing was tried, and it can be published from the record alone."""
    job = world.job(metadata={"order": "7"}, trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    acceptance = world.accept(job)
    record = world.record(job.uid)
    assert acceptance.created
    assert acceptance.record == record
    assert (record.status, record.attempt, record.lease_until) == (Status.QUEUED, 0, 0)
    assert record.metadata == {"order": "7"}
    assert load_job(record, world.store) == job


def test_the_same_id_with_the_same_body_is_the_same_job(world):
    """A client's retry gets the job that is there, and makes no second one."""
    first = world.accept(world.job(id="order-7"), body="same")
    second = world.accept(world.job(id="order-7"), body="same")
    assert (first.created, second.created) == (True, False)
    assert second.record.uid == first.record.uid
    assert len(world.table.query("by-tenant", "default").items) == 1


def test_the_same_id_with_another_body_is_a_conflict(world):
    """Neither the first job nor the table is touched."""
    first = world.accept(world.job(id="order-7"), body="one")
    with pytest.raises(IdInUse, match="choose another id"):
        world.accept(world.job(id="order-7"), body="two")
    assert len(world.table.query("by-tenant", "default").items) == 1
    assert world.record(first.record.uid) == first.record


@pytest.mark.parametrize("changed", [{"tenant": "acme"}, {"family": Family.TOPIC}])
def test_ids_of_another_tenant_or_family_are_others(world, changed):
    """An id is unique per tenant and route family only."""
    mine = world.accept(world.job(id="order-7"), body="one")
    theirs = world.accept(world.job(id="order-7", **changed), body="two")
    assert theirs.created
    assert theirs.record.uid != mine.record.uid


def test_jobs_without_an_id_are_never_the_same(world):
    """Two equal bodies without an id are two jobs."""
    first = world.accept(world.job(), body="same")
    second = world.accept(world.job(), body="same")
    assert second.created
    assert first.record.uid != second.record.uid


def test_a_message_accepted_again_by_its_derived_uid_is_the_same_job(world):
    """A job straight from the topic has no id of a client, but always the same uid."""
    job = world.job()
    assert world.accept(job).created
    again = world.accept(job)
    assert not again.created
    assert again.record.uid == job.uid


def test_the_same_job_accepted_ten_times_at_once_is_one_job(racing_world):
    """However the ten race, one creates it and all get the same uid."""
    jobs = [racing_world.job(id="order-7") for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        acceptances = list(pool.map(racing_world.accept, jobs))
    assert len({each.record.uid for each in acceptances}) == 1
    assert sum(each.created for each in acceptances) == 1
    assert len(racing_world.table.query("by-tenant", "default").items) == 1


def test_a_large_body_lies_in_the_bucket_and_is_checked_when_read(world):
    """The record keeps its hash, so that a changed object is noticed."""
    job = world.queued(input=ImageToImage(prompt="a house", image="A" * MAX_BODY_BYTES))
    record = world.record(job.uid)
    assert record.body is None
    assert Job.decode(world.store.get(request_key(job.uid))) == job
    assert load_job(record, world.store) == job


def test_a_small_body_needs_no_object(world):
    """One write is enough for most jobs."""
    job = world.queued()
    with pytest.raises(ObjectMissing):
        world.store.get(request_key(job.uid))


def test_pictures_are_shown_by_their_hash(world):
    """A listing stays small, however large the pictures that were posted."""
    job = world.queued(input=ImageToImage(prompt="a house", image="A" * 50_000))
    shown = world.record(job.uid).input
    assert shown["image"].startswith("sha256:")
    assert shown["prompt"] == "a house"


def test_a_job_is_found_by_its_uid_and_by_its_id(world):
    """Both names lead to the same record."""
    job = world.queued(id="order-7")
    by_uid = find(world.table, tenant="default", name=job.uid, family=Family.V1)
    by_id = find(world.table, tenant="default", name="order-7", family=Family.V1)
    assert by_uid == by_id == world.record(job.uid)


def test_nobody_finds_the_job_of_another_tenant(world):
    """Neither by uid nor by id."""
    job = world.queued(id="order-7", tenant="acme")
    for name in (job.uid, "order-7"):
        assert find(world.table, tenant="default", name=name, family=Family.V1) is None


def test_a_name_that_nobody_has_finds_nothing(world):
    """Also one that could not be a key of the table."""
    for name in ("nobody", new_uid(), "", "#", "x" * 5000, "é" * 1500):
        assert find(world.table, tenant="default", name=name, family=Family.V1) is None


def test_an_id_that_looks_like_the_uid_of_another_tenants_job_is_still_mine(world):
    """Knowing somebody's uid must not hide one's own job."""
    theirs = world.queued(tenant="acme")
    mine = world.queued(id=theirs.uid)
    found = find(world.table, tenant="default", name=theirs.uid, family=Family.V1)
    assert found is not None
    assert found.uid == mine.uid


def test_the_item_expires_a_month_after_acceptance(world):
    """The time to live is in seconds, as DynamoDB wants it, for the record and its label."""
    job = world.queued(id="order-7")
    month = 30 * 24 * 3600
    assert world.table.get(job_key(job.uid))["expires_at"] == world.now // 1000 + month
    assert world.table.get("id#default#v1#order-7")["expires_at"] == world.now // 1000 + month
