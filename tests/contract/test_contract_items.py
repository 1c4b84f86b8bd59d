"""The items themselves: small, and floats, lists and text come back as they went."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.inputs import ImageToImage
from jobs.outcome import Outcome
from jobs.status import ErrorCode
from records.errors import ConditionFailed
from records.finish import finish
from records.record import job_key, load_job
from records.table import Change, Require

#: Four bytes in UTF-8.
WIDE = "\U0001f9c0"


def test_the_largest_item_can_be_stored_and_read_back(world):
    """With the longest words, the most metadata and a picture that is just small enough."""
    job = world.queued(
        input=ImageToImage(prompt=WIDE * 2000, negative_prompt=WIDE * 2000, image="A" * 7000),
        metadata={f"{n:02}" + "k" * 62: WIDE * 100 for n in range(16)},
        id="i" * 128,
    )
    assert world.record(job.uid).body is not None
    assert load_job(world.record(job.uid), world.store) == job


def test_every_kind_of_value_comes_back_as_it_went(world):
    """Whole numbers, fractions, truths, nothing, text of every script, and what holds them."""
    item = {
        "pk": "job#values",
        "int": 2**53,
        "negative": -5,
        "float": 0.1,
        "true": True,
        "none": None,
        "text": 'ein "Käse" 🧀\n',
        "empty": "",
        "list": [1, 2.5, "x", [], {}],
        "map": {"a": {"b": [False]}},
    }
    world.table.put_new(item)
    assert world.table.get("job#values") == item


def test_a_new_item_replaces_none(world):
    """The one that lies there comes with the refusal, and stays."""
    world.table.put_new({"pk": "a", "n": 1})
    with pytest.raises(ConditionFailed) as failed:
        world.table.put_new({"pk": "a", "n": 2})
    assert failed.value.item == {"pk": "a", "n": 1}
    assert world.table.get("a") == {"pk": "a", "n": 1}


def test_of_several_new_items_all_or_none_are_written(world):
    """A label without its job, or a job without its label, can never be."""
    world.table.put_new({"pk": "a", "n": 1})
    with pytest.raises(ConditionFailed):
        world.table.put_new({"pk": "b"}, {"pk": "a", "n": 2})
    assert world.table.get("b") is None
    world.table.put_new({"pk": "b"}, {"pk": "c"})
    assert world.table.get("c") == {"pk": "c"}


CASES = [
    (Require("n", "=", 5), True),
    (Require("n", "=", 6), False),
    (Require("n", "<", 6), True),
    (Require("n", "<", 5), False),
    (Require("n", "<=", 5), True),
    (Require("n", ">=", 6), False),
    (Require("n", ">=", 5), True),
    (Require("s", "in", {"y", "x"}), True),
    (Require("s", "in", {"y", "z"}), False),
    (Require("n", "present"), True),
    (Require("n", "absent"), False),
    (Require("nowhere", "absent"), True),
    (Require("nowhere", "present"), False),
    (Require("nowhere", "=", 5), False),
    (Require("nowhere", "<", 5), False),
    (Require("nowhere", "in", {"x"}), False),
]


def test_a_change_is_made_only_where_its_requirements_hold(world):
    """Each kind of requirement, held and not held, on each backend the same."""
    world.table.put_new({"pk": "a", "n": 5, "s": "x"})
    for number, (require, holds) in enumerate(CASES):
        change = Change(require=[require], set={"last": number})
        if holds:
            assert world.table.update("a", change)["last"] == number, require
        else:
            before = world.table.get("a")
            with pytest.raises(ConditionFailed) as failed:
                world.table.update("a", change)
            assert failed.value.item == before == world.table.get("a"), require


def test_all_requirements_must_hold(world):
    """One that fails is enough to refuse."""
    world.table.put_new({"pk": "a", "n": 5, "s": "x"})
    with pytest.raises(ConditionFailed):
        world.table.update(
            "a", Change(require=[Require("n", "=", 5), Require("s", "=", "y")], set={"n": 6})
        )
    assert world.table.get("a")["n"] == 5


def test_a_change_sets_removes_and_adds_at_once(world):
    """What it answers is the whole item as it is then."""
    world.table.put_new({"pk": "a", "n": 5, "s": "x", "gone": 1})
    change = Change(set={"s": "y"}, remove=["gone", "never"], add={"n": 2, "new": 1})
    expected = {"pk": "a", "n": 7, "s": "y", "new": 1}
    assert world.table.update("a", change) == expected
    assert world.table.get("a") == expected


def test_an_absent_item_meets_only_absent(world):
    """A refusal says that nothing lies there."""
    with pytest.raises(ConditionFailed) as failed:
        world.table.update("a", Change(require=[Require("pk", "present")], set={"n": 1}))
    assert failed.value.item is None
    assert world.table.get("a") is None


def test_counting_at_once_loses_no_count(racing_world):
    """Eight threads add one each."""
    racing_world.table.put_new({"pk": "a", "n": 0})
    change = Change(require=[Require("pk", "present")], add={"n": 1})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: racing_world.table.update("a", change), range(8)))
    assert racing_world.table.get("a")["n"] == 8


def test_an_error_code_is_stored_as_its_word(world):
    """A reader in another language finds the code, not a name of ours."""
    job = world.queued()
    outcome = Outcome.failed(ErrorCode.DEAD_LETTERED, "given up")
    finish(world.table, job.uid, outcome, by=None, nonce="n", now_ms=world.now)
    stored = json.loads(world.table.get(job_key(job.uid))["outcome"])
    assert stored["error"] == {"code": "dead_lettered", "message": "given up"}
