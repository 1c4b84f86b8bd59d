"""Deleting a job: images and what was asked are gone, that it was there stays known."""

import pytest

from jobs.inputs import ImageToImage, TextToImage
from jobs.keys import attempt_keys, attempt_suffix, request_key
from jobs.outcome import Outcome
from jobs.status import Status
from records.accept import find
from records.errors import NotDone, ObjectMissing
from records.finish import erase, finish
from records.record import MAX_BODY_BYTES


def ended(world, *, keys=("a/b-1.png", "a/b-2.png"), document="a/b.out", **changed):
    """The record of a job that succeeded, and its objects in the bucket."""
    held = world.running(**changed)
    outcome = world.succeeded(*keys, document=document)
    for key in (*keys, document):
        world.store.put(key, b"pixels", media_type="image/png")
    return finish(world.table, held.uid, outcome, by=held, nonce="n", now_ms=world.now).record


def missing(world, key):
    """Whether the bucket has no object under `key`."""
    try:
        world.store.get(key)
    except ObjectMissing:
        return True
    return False


def test_the_images_and_the_document_are_removed(world):
    """Nothing of what was made is left in the bucket; another job's images are."""
    record = ended(world)
    world.store.put("a/c-1.png", b"another", media_type="image/png")
    erase(world.table, world.store, record, now_ms=world.now + 5)
    assert all(missing(world, key) for key in ("a/b-1.png", "a/b-2.png", "a/b.out"))
    assert world.store.get("a/c-1.png") == b"another"


def test_images_of_attempts_that_did_not_win_are_removed_too(world):
    """Their keys follow from the record: nothing has to be listed."""
    held = world.running(input=TextToImage(prompt="two", num_images_per_prompt=2))
    record = world.record(held.uid)
    keys = attempt_keys(
        record.prefix, record.id, attempt_suffix(held.uid, 1), images=2, extension="png"
    )
    for key in keys:
        world.store.put(key, b"stray", media_type="image/png")
    done = finish(world.table, held.uid, Outcome.canceled(), by=held, nonce="n", now_ms=world.now)
    erase(world.table, world.store, done.record, now_ms=world.now + 5)
    assert len(keys) == 3
    assert all(missing(world, key) for key in keys)


def test_a_request_that_lay_in_the_bucket_is_removed(world):
    """It holds the pictures that the client sent."""
    record = ended(world, input=ImageToImage(prompt="a house", image="A" * MAX_BODY_BYTES))
    assert not missing(world, request_key(record.uid))
    erase(world.table, world.store, record, now_ms=world.now + 5)
    assert missing(world, request_key(record.uid))


def test_the_tombstone_tells_how_the_job_ended_and_nothing_of_what_was_asked(world):
    """Prompt, metadata, context and outputs are gone from the item itself."""
    record = ended(
        world,
        id="order-7",
        metadata={"name": "Ada"},
        context={"said": "draw a lighthouse"},
    )
    gone = erase(world.table, world.store, record, now_ms=world.now + 5)
    assert gone == world.record(record.uid)
    assert (gone.status, gone.deleted_at) == (Status.SUCCEEDED, world.now + 5)
    assert (gone.input, gone.body, gone.metadata, gone.context) == (None, None, {}, None)
    assert gone.outcome.outputs == ()
    item = str(world.table.get(f"job#{record.uid}"))
    assert "lighthouse" not in item
    assert "Ada" not in item


def test_a_deleted_job_is_still_found_and_its_id_still_taken(world):
    """The same request again is the same job, now deleted, and not a new one."""
    record = ended(world, id="order-7")
    erase(world.table, world.store, record, now_ms=world.now + 5)
    found = find(world.table, tenant="default", name="order-7", family=record.family)
    assert found.uid == record.uid
    again = world.accept(world.job(id="order-7"))
    assert not again.created
    assert again.record.deleted_at == world.now + 5


@pytest.mark.parametrize("state", ["queued", "leased", "running"])
def test_a_job_that_has_not_ended_cannot_be_deleted(world, state):
    """Its owner would upload images that nobody knows of."""
    job = getattr(world, state)()
    with pytest.raises(NotDone, match="cancel it first"):
        erase(world.table, world.store, world.record(job.uid), now_ms=world.now)
    assert world.record(job.uid).deleted_at is None


def test_deleting_twice_is_as_deleting_once(world):
    """A repeated call finds objects that are gone, and is content."""
    record = ended(world)
    erase(world.table, world.store, record, now_ms=world.now + 5)
    again = erase(world.table, world.store, record, now_ms=world.now + 5)
    assert again == world.record(record.uid)
