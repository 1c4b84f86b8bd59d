"""The queue's promises, and those of the bucket and the topic, on each backend."""

import hashlib
import json

import httpx
import pytest

from records.errors import ObjectMissing, ObjectTooLarge
from records.topic import MAX_ATTRIBUTES


def received(queue, *, wait_s=5):
    """The one message that is to be had."""
    [delivery] = queue.receive(limit=10, wait_s=wait_s)
    return delivery


def test_a_message_comes_out_as_it_went_in(world):
    """Raw: its body, an id, a receipt, how often and since when."""
    queue = world.queues["demo"]
    queue.send('{"text": "Käse 🧀"}')
    delivery = received(queue)
    assert delivery.body == '{"text": "Käse 🧀"}'
    assert delivery.receive_count == 1
    assert delivery.message_id != delivery.receipt
    assert delivery.sent_ms > 1_700_000_000_000


def test_a_message_keeps_the_notes_that_were_put_on_it(world):
    """Why it was put aside comes out with it; without notes there are none."""
    queue = world.queues["demo"]
    queue.send("noted", {"reason": "nobody can read it", "uid": "x"})
    assert received(queue).notes == {"reason": "nobody can read it", "uid": "x"}
    queue.send("bare")
    assert received(queue).notes == {}


def test_a_received_message_is_invisible_to_others(world):
    """It is in flight, not gone."""
    queue = world.queues["demo"]
    queue.send("one")
    received(queue)
    assert queue.receive(limit=10, wait_s=0) == []
    assert queue.depth() == (0, 1)


def test_a_released_message_comes_again_with_a_higher_count(world):
    """It is the same message, in another delivery."""
    queue = world.queues["demo"]
    queue.send("one")
    first = received(queue)
    queue.release(first)
    second = received(queue)
    assert (second.message_id, second.sent_ms) == (first.message_id, first.sent_ms)
    assert second.receive_count == 2


def test_a_message_released_with_a_delay_waits(world):
    """It is not to be had before."""
    queue = world.queues["demo"]
    queue.send("one")
    queue.release(received(queue), delay_s=600)
    assert queue.receive(limit=10, wait_s=0) == []
    assert queue.depth() == (0, 1)


def test_a_deleted_message_never_comes_again(world):
    """Neither visible nor in flight."""
    queue = world.queues["demo"]
    queue.send("one")
    queue.delete(received(queue))
    assert queue.receive(limit=10, wait_s=0) == []
    assert queue.depth() == (0, 0)


def test_extending_keeps_many_messages_invisible(world):
    """More than the ten that SQS takes in one call; none is refused."""
    queue = world.queues["demo"]
    for number in range(12):
        queue.send(str(number))
    held = []
    while len(held) < 12:
        held += queue.receive(limit=10, wait_s=5)
    assert queue.extend(held, visibility_s=600) == []
    assert queue.receive(limit=10, wait_s=0) == []
    assert queue.depth() == (0, 12)


def test_extending_to_nothing_gives_the_messages_back(world):
    """Zero seconds from now is now."""
    queue = world.queues["demo"]
    queue.send("one")
    assert queue.extend([received(queue)], visibility_s=0) == []
    assert received(queue).receive_count == 2


def test_a_message_whose_time_has_run_out_comes_again(world):
    """Its receiver has died; another waits and gets it."""
    queue = world.queues["demo"]
    queue.send("one")
    queue.extend([received(queue)], visibility_s=1)
    assert received(queue, wait_s=10).receive_count == 2


def test_extending_nothing_is_no_call(world):
    """A bridge without work has nothing to keep."""
    assert world.queues["demo"].extend([], visibility_s=60) == []


def test_no_more_than_the_limit_is_received(world):
    """A bridge takes no more than it has credit for, and never more than ten."""
    queue = world.queues["demo"]
    for number in range(12):
        queue.send(str(number))
    assert len(queue.receive(limit=3, wait_s=5)) <= 3
    assert len(queue.receive(limit=50, wait_s=5)) <= 10


def test_the_topic_delivers_raw_by_the_filter_policy(world):
    """No envelope, and nothing for a queue whose policy does not match."""
    world.jobs.publish("to demo", {"runtime": "demo", "tenant": "a"})
    world.jobs.publish("to nobody", {"runtime": "third"})
    world.jobs.publish("to nobody either", {"tenant": "a"})
    assert received(world.queues["demo"]).body == "to demo"
    for queue in world.queues.values():
        assert queue.receive(limit=10, wait_s=0) == []


def test_a_message_with_all_attributes_that_sns_keeps_arrives(world):
    """With one more SNS would drop it without a word."""
    attributes = {f"a{number}": "x" for number in range(MAX_ATTRIBUTES - 1)}
    world.jobs.publish("full", {"runtime": "demo", **attributes})
    assert received(world.queues["demo"]).body == "full"


def test_one_attribute_too_many_is_refused(world):
    """A bug of ours is loud instead."""
    attributes = {f"a{number}": "x" for number in range(MAX_ATTRIBUTES)}
    with pytest.raises(ValueError, match="11 attributes"):
        world.jobs.publish("too full", {"runtime": "demo", **attributes})
    assert world.queues["demo"].receive(limit=1, wait_s=0) == []


def test_a_subscriber_without_a_policy_gets_everything(world):
    """The queue of notices, whatever their attributes say."""
    world.notices.publish(json.dumps({"n": 1}), {"status": "completed", "tenant": "acme"})
    assert json.loads(received(world.inbox).body) == {"n": 1}


def test_an_object_comes_back_byte_by_byte(world):
    """Also one that is no text, and an empty one."""
    every_byte = bytes(range(256)) * 40
    world.store.put("a/every.png", every_byte, media_type="image/png")
    world.store.put("a/none.png", b"", media_type="image/png")
    assert world.store.get("a/every.png") == every_byte
    assert world.store.get("a/none.png") == b""


def test_the_same_key_is_overwritten(world):
    """A second upload of the same attempt is the same upload."""
    world.store.put("a/b.png", b"old", media_type="image/png")
    world.store.put("a/b.png", b"new", media_type="image/png")
    assert world.store.get("a/b.png") == b"new"


def test_a_missing_object_is_said_to_be_missing(world):
    """Not an outage: it will not come by waiting."""
    with pytest.raises(ObjectMissing):
        world.store.get("a/nothing.png")


def test_deleting_needs_no_object(world):
    """What is gone stays gone."""
    world.store.put("a/b.png", b"x", media_type="image/png")
    world.store.delete("a/b.png")
    world.store.delete("a/b.png")
    with pytest.raises(ObjectMissing):
        world.store.get("a/b.png")


def test_a_presigned_url_downloads_without_credentials(world):
    """Over real HTTP where there is a server; it names the object and carries an expiry."""
    key = "default/order-7/order-7-ab12-1.png"
    pixels = hashlib.sha256(b"pixels").digest()
    world.store.put(key, pixels, media_type="image/png")
    url = world.store.presign(key, expires_s=600)
    assert key in url
    assert "xpires=600" in url
    if world.backend != "fakes":
        answer = httpx.get(url, trust_env=False)
        assert (answer.status_code, answer.content) == (200, pixels)
        assert answer.headers["content-type"] == "image/png"


def test_a_url_presigned_for_one_object_does_not_open_another(world):
    """The signature covers the key. moto checks no signatures, so there is nothing to see."""
    for key in ("a/mine.png", "a/theirs.png"):
        world.store.put(key, key.encode(), media_type="image/png")
    mine = world.store.presign("a/mine.png", expires_s=600)
    assert mine != world.store.presign("a/theirs.png", expires_s=600)
    if world.backend == "ministack":
        answer = httpx.get(mine.replace("mine.png", "theirs.png"), trust_env=False)
        assert answer.status_code == 403


def test_an_object_is_read_up_to_a_size(world):
    """A client names it, so its size is not ours to know."""
    world.store.put("in/a.png", b"x" * 100, media_type="image/png")
    bucket = world.store.bucket
    assert world.objects.read(bucket, "in/a.png", most_bytes=100) == b"x" * 100
    with pytest.raises(ObjectTooLarge):
        world.objects.read(bucket, "in/a.png", most_bytes=99)


@pytest.mark.parametrize("place", ["key", "bucket", "long key"])
def test_an_object_that_a_client_names_in_vain_is_missing(world, place):
    """Not an outage: the job is at fault."""
    bucket = "nobody-s-bucket" if place == "bucket" else world.store.bucket
    key = "k" * 2000 if place == "long key" else "nothing"
    with pytest.raises(ObjectMissing):
        world.objects.read(bucket, key, most_bytes=10)
