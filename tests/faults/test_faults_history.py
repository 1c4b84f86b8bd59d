"""The history checker finds every fault that is planted, and none where there is none."""

import copy
from dataclasses import replace

import pytest

from tests.faults.history import Generation, History, generations, judge, sha256

_IMAGE = b"an image"


def item(uid: str, status: str = "succeeded") -> dict:
    output = {"key": f"default/{uid}/1.png", "sha256": sha256(_IMAGE), "bytes": len(_IMAGE)}
    outputs = [output] if status == "succeeded" else []
    return {"uid": uid, "status": status, "outcome": {"outputs": outputs}}


def notice(uid: str, status: str = "succeeded") -> dict:
    outputs = item(uid, status)["outcome"]["outputs"]
    return {
        "image_url": [f"s3://b/{output['key']}" for output in outputs],
        "job": {
            "uid": uid,
            "status": status,
            "event_id": f"{uid}:{status}",
            "outputs": outputs,
        },
    }


UIDS = ("a", "b", "c")


@pytest.fixture
def good() -> History:
    """Three jobs that went well, one of them announced twice and one generated twice."""
    objects = {f"default/{uid}/1.png": sha256(_IMAGE) for uid in UIDS}
    return History(
        accepted=frozenset(UIDS),
        records={uid: item(uid) for uid in UIDS},
        notices=[notice(uid) for uid in (*UIDS, "a")],
        object_sha256=objects.get,
        generations=[
            *(Generation(uid=uid, began_at=10, completed_at=11) for uid in UIDS),
            Generation(uid="b", began_at=20, completed_at=21),
        ],
        faults_at=[10.5],
        explains_s=30,
    )


def test_a_good_history_has_no_faults(good):
    """Duplicates that are allowed are counted, not blamed."""
    found = judge(good)
    assert found.faults == {}
    assert (found.terminal, found.reannounced, found.duplicate_generations) == (3, 1, 1)


def test_other_endings_are_no_faults(good):
    """Failed, canceled, expired: each is one terminal state."""
    for status in ("failed", "canceled", "expired"):
        records = {**good.records, "c": item("c", status)}
        notices = [n for n in good.notices if n["job"]["uid"] != "c"] + [notice("c", status)]
        assert judge(replace(good, records=records, notices=notices)).faults == {}


@pytest.mark.parametrize("status", ["queued", "starting", "processing"])
def test_a_job_that_never_ends_is_lost(good, status):
    """Accepted, and then nothing."""
    records = {**good.records, "c": {"uid": "c", "status": status}}
    notices = [n for n in good.notices if n["job"]["uid"] != "c"]
    assert judge(replace(good, records=records, notices=notices)).faults == {"lost": ["c"]}


def test_a_job_without_a_record_is_lost(good):
    """Accepted, and nobody knows of it."""
    records = {**good.records, "c": None}
    assert judge(replace(good, records=records)).lost == ["c"]


def test_a_job_that_nobody_was_told_of_is_unannounced(good):
    """It ended; its subscribers wait."""
    notices = [n for n in good.notices if n["job"]["uid"] != "b"]
    assert judge(replace(good, notices=notices)).faults == {"unannounced": ["b"]}


def test_two_endings_of_one_job_are_a_double_commit(good):
    """Succeeded and failed, each told once."""
    found = judge(replace(good, notices=[*good.notices, notice("c", "failed")]))
    assert found.double_commits == ["c"]
    assert found.wrong_notices == ["c"]


def test_two_results_of_one_job_are_a_double_commit(good):
    """Both succeeded, with images of two attempts."""
    other = copy.deepcopy(notice("c"))
    other["image_url"] = ["s3://b/default/c/2.png"]
    assert judge(replace(good, notices=[*good.notices, other])).double_commits == ["c"]


@pytest.mark.parametrize("field", ["key", "sha256", "bytes"])
def test_a_notice_that_says_something_else_than_the_record_is_wrong(good, field):
    """Whatever of its outputs."""
    wrong = copy.deepcopy(notice("c"))
    wrong["job"]["outputs"][0][field] = "another"
    notices = [n for n in good.notices if n["job"]["uid"] != "c"] + [wrong]
    assert judge(replace(good, notices=notices)).wrong_notices == ["c"]


def test_a_notice_of_a_job_that_nobody_knows_is_wrong(good):
    """Announced before it was recorded, say."""
    assert judge(replace(good, notices=[*good.notices, notice("x")])).wrong_notices == ["x"]


def test_another_event_id_is_wrong(good):
    """Subscribers tell copies by it."""
    wrong = copy.deepcopy(notice("c"))
    wrong["job"]["event_id"] = "c:succeeded:2"
    assert judge(replace(good, notices=[*good.notices, wrong])).wrong_notices == ["c"]


@pytest.mark.parametrize("found", [None, sha256(b"another")], ids=["missing", "changed"])
def test_an_object_that_is_missing_or_changed_is_found(good, found):
    """A notice names what is there, byte for byte."""
    objects = {f"default/{uid}/1.png": sha256(_IMAGE) for uid in UIDS} | {"default/b/1.png": found}
    faults = judge(replace(good, object_sha256=objects.get)).faults
    assert faults == {"missing_objects": ["default/b/1.png"]}


@pytest.mark.parametrize("faults_at", [[], [25.0], [-50.0]], ids=["none", "after", "long before"])
def test_a_generation_that_no_fault_explains_is_found(good, faults_at):
    """The GPU worked twice, and nothing had happened."""
    assert judge(replace(good, faults_at=faults_at)).faults == {"unexplained": ["b"]}


def test_the_notes_of_a_serve_become_generations():
    """Completed, stopped, and one whose process was killed."""
    notes = [
        {"uid": "a", "pid": 1, "what": "began", "at": 1.0},
        {"uid": "b", "pid": 1, "what": "began", "at": 2.0},
        {"uid": "a", "pid": 1, "what": "completed", "at": 3.0},
        {"uid": "c", "pid": 1, "what": "began", "at": 4.0},
        {"uid": "b", "pid": 1, "what": "stopped", "at": 5.0},
    ]
    assert generations(notes) == [
        Generation(uid="a", began_at=1.0, completed_at=3.0),
        Generation(uid="b", began_at=2.0),
        Generation(uid="c", began_at=4.0),
    ]
