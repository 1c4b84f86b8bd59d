"""Items are small, and come back as they went; the fake queue keeps time by its clock."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.inputs import ImageToImage
from jobs.job import Family
from jobs.outcome import ImageOutput, Outcome
from jobs.status import Status
from records.accept import accept
from records.attributes import plain, typed
from records.finish import finish
from records.lease import lease, start
from records.memory import MemoryQueue, MemoryStore, MemoryTable
from records.record import job_key

NOW = 1_795_255_200_000


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6) + 0.0)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1), VALUES))
def test_an_item_survives_dynamodbs_types(item):
    """Whatever JSON can hold."""
    assert plain(typed(item)) == item


@pytest.mark.parametrize("char", ["x", "\U0001f9c0", '"', "\n", "\x01"])
@pytest.mark.parametrize("image", [1, 5_000, 10_000, 20_000, 31_000, 64_000, 1_000_000])
def test_no_item_is_larger_than_100_kb(new_job, char, image):
    """Neither long words, nor metadata, nor a picture that is just small enough."""
    table = MemoryTable()
    wanted = new_job(
        input=ImageToImage(prompt=char * 2000, negative_prompt=char * 2000, image="A" * image),
        metadata={f"{n:02}" + "k" * 62: char * 512 for n in range(16)},
        id="i" * 128,
    )
    accept(table, MemoryStore(), wanted, fingerprint="f" * 64, republish_at=NOW)
    held = lease(table, wanted.uid, owner="o" * 64, now_ms=NOW, until_ms=NOW + 1)
    held = start(table, held, now_ms=NOW, until_ms=NOW + 1)
    outputs = tuple(
        ImageOutput(
            key=f"default/{'i' * 128}/{'i' * 128}-ab12-{n}.png",
            media_type="image/png",
            sha256="0" * 64,
            bytes=10**6,
            width=64,
            height=64,
            seed=2**63 - 1,
        )
        for n in range(8)
    )
    outcome = Outcome(status=Status.SUCCEEDED, outputs=outputs)
    finish(table, wanted.uid, outcome, by=held, nonce="n" * 32, now_ms=NOW)
    assert size_of(table.get(job_key(wanted.uid))) <= 100_000


def size_of(value):
    """The bytes that DynamoDB counts, numbers rounded up."""
    if isinstance(value, dict):
        return 3 + sum(len(name.encode()) + 1 + size_of(each) for name, each in value.items())
    return len(value.encode()) if isinstance(value, str) else 21


def test_a_message_becomes_visible_again_by_the_queues_clock():
    """A test of a lost bridge needs no sleep."""
    now = [0.0]
    queue = MemoryQueue(visibility_s=30, clock=lambda: now[0])
    queue.send(json.dumps({"family": Family.V1}))
    [first] = queue.receive(limit=1, wait_s=0)
    now[0] = 29.9
    assert queue.receive(limit=1, wait_s=0) == []
    now[0] = 30.0
    [second] = queue.receive(limit=1, wait_s=0)
    assert (second.message_id, second.receive_count) == (first.message_id, 2)
    assert queue.extend([first, second], visibility_s=60) == [first]
