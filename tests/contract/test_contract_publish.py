"""Publishing: a message reaches its own runtime's queue, whole or by reference."""

import hashlib
import json

import pytest

from jobs.inputs import ImageToImage
from jobs.job import Job, Priority
from jobs.keys import request_key
from jobs.message import MAX_INLINE_BYTES, Message
from records.errors import ObjectChanged
from records.publish import publish
from records.record import read_referred

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def published(world, job):
    """Publish `job`, a second after it was accepted."""
    return publish(world.table, world.store, world.jobs, job, now_ms=world.now + 1000)


def of_size(world, size):
    """A job whose message has exactly `size` bytes."""
    job = world.job(input=ImageToImage(prompt="a house", image="A"))
    room = size - len(Message(uid=job.uid, job=job).encode())
    return job.model_copy(update={"input": ImageToImage(prompt="a house", image="A" * (room + 1))})


def test_a_published_job_arrives_raw_in_its_own_runtimes_queue_only(world):
    """The filter policy routes by the attribute `runtime`; the body is ours, no envelope."""
    job = world.queued(runtime="other")
    published(world, job)
    [body] = world.receive(world.queues["other"])
    assert Message.decode(body) == Message(uid=job.uid, job=job)
    assert world.queues["demo"].depth() == (0, 0)


def test_two_jobs_of_two_runtimes_do_not_cross(world):
    """Each queue gets its own, whatever was published before."""
    jobs = {name: world.queued(runtime=name) for name in ("demo", "other")}
    for job in jobs.values():
        published(world, job)
    for name, job in jobs.items():
        [body] = world.receive(world.queues[name])
        assert Message.decode(body).uid == job.uid


def test_a_published_job_says_when(world):
    """It leaves the index of those that the sweeper would publish."""
    job = world.queued()
    assert world.index("unpublished") == [job.uid]
    record = published(world, job)
    assert record == world.record(job.uid)
    assert record.published_at == world.now + 1000
    assert record.republished_at is None
    assert world.index("unpublished") == []


def test_a_message_at_the_limit_goes_inline_and_one_byte_more_goes_by_reference(world):
    """SNS would refuse more; what is referred to is readable back and checked."""
    at_limit, above = of_size(world, MAX_INLINE_BYTES), of_size(world, MAX_INLINE_BYTES + 1)
    for job in (at_limit, above):
        world.accept(job)
        published(world, job)
    found = {}
    for body in world.receive(world.queues["demo"], 2):
        message = Message.decode(body)
        found[message.uid] = message
    assert found[at_limit.uid].job == at_limit
    assert found[above.uid].job is None
    reference = found[above.uid].reference
    assert reference.key == request_key(above.uid)
    assert reference.sha256 == hashlib.sha256(world.store.get(reference.key)).hexdigest()
    assert read_referred(world.store, reference.key, reference.sha256) == above


def test_a_referred_object_that_was_changed_is_refused(world):
    """The hash in the message is what was published, not what lies there now."""
    job = of_size(world, MAX_INLINE_BYTES + 1)
    world.accept(job)
    published(world, job)
    [body] = world.receive(world.queues["demo"])
    reference = Message.decode(body).reference
    world.store.put(reference.key, world.job().encode(), media_type="application/json")
    with pytest.raises(ObjectChanged, match=reference.key):
        read_referred(world.store, reference.key, reference.sha256)


def test_publishing_a_job_whose_record_is_gone_makes_no_record(world):
    """A late publication must not write a stump of a record."""
    job = world.job()
    assert published(world, job) is None
    assert world.table.get(f"job#{job.uid}") is None


def test_text_of_every_script_survives_the_way_through_topic_and_queue(world):
    """What was asked for is what is received, character by character."""
    job = world.job()
    job = job.model_copy(
        update={"input": job.input.model_copy(update={"prompt": 'ein Käse "🧀" \\ 奶酪\n\t<&>'})}
    )
    world.accept(job)
    published(world, job)
    [body] = world.receive(world.queues["demo"])
    assert Message.decode(body).job == job


class Listening:
    """A topic that keeps the attributes of what passes through it."""

    def __init__(self, topic):
        self.topic = topic
        self.attributes = []

    def publish(self, body, attributes):
        self.attributes.append(dict(attributes))
        self.topic.publish(body, attributes)


def test_the_attributes_are_what_filter_policies_route_by(world):
    """Runtime, tenant, priority and the trace; ten at most, or SNS drops the message."""
    topic = Listening(world.jobs)
    job = world.queued(tenant="acme", priority=Priority.BATCH, trace=TRACE)
    publish(world.table, world.store, topic, job, now_ms=world.now)
    assert topic.attributes == [
        {"runtime": "demo", "tenant": "acme", "priority": "batch", "traceparent": TRACE}
    ]
    [body] = world.receive(world.queues["demo"])
    assert json.loads(body)["job"]["trace"] == TRACE


def test_the_published_job_can_be_read_without_its_record(world):
    """A message alone is enough to work on: nothing in it points back to the API."""
    job = world.queued(id="order-7", context={"any": ["json", 1, None]})
    published(world, job)
    [body] = world.receive(world.queues["demo"])
    assert Job.decode(json.dumps(json.loads(body)["job"])) == job
