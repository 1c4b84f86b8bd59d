"""A list of prompts to its end: what is painted, what is left, what is tried again."""

import asyncio
import json
from pathlib import Path

import pytest

from bridge.scripted import success
from jobs.catalogue import Catalogue
from jobs.job import Job
from jobs.status import ErrorCode
from jobs.stream import Accepted, Error
from records.errors import ObjectMissing
from records.memory import MemoryStore
from serve_app.batch import TRIES, Batch, read_prompts
from serve_app.errors import BadPrompts
from serve_app.place import Folder, outputs_at

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text())
LINES = [
    '{"prompt": "a red circle"}',
    "",
    '{"id": "second", "input": {"prompt": "a blue square", "seed": 3}}',
    '{"prompt": "a red circle"}',
]
FAILS = [
    Accepted(replica="r"),
    Error(code=ErrorCode.UNSUPPORTED, message="not offered"),
]
MAY_PASS = [
    Accepted(replica="r"),
    Error(code=ErrorCode.OUT_OF_MEMORY, message="full", retryable=True),
]


def prompts(lines=LINES, prefix=""):
    """The jobs of these lines."""
    return read_prompts(lines, CATALOGUE, prefix=prefix)


class Interrupted(Exception):
    """In the middle of a batch."""


class Painter:
    """Makes the events of a script for each job, by its prompt; success unless told otherwise."""

    def __init__(self, **scripts):
        self.scripts = scripts
        self.painted = []
        self.stop_after = None

    async def generate(self, body):
        """Its events."""
        job = Job.decode(body)
        if self.stop_after is not None and len(self.painted) >= self.stop_after:
            raise Interrupted
        self.painted.append(job.id)
        script = self.scripts.get(job.id)
        for event in script.pop(0) if script else success(seed=job.seed):
            await asyncio.sleep(0)
            yield event.model_dump(mode="json")


def painted(jobs, painter, store, at_once=2):
    """The tally in the end, and all that were told."""
    told = []
    tally = asyncio.run(Batch(outputs=store, at_once=at_once).run(jobs, painter, told.append))
    return tally, told


def test_every_line_is_a_job_and_equal_lines_are_two():
    """With seeds of their own; an id that a line gives is kept."""
    first, second, third = prompts()
    assert second.id == "second"
    assert len({job.uid for job in (first, second, third)}) == 3
    assert first.seed != third.seed


def test_the_same_file_is_the_same_jobs():
    """Or nothing could be gone on with."""
    assert [job.uid for job in prompts()] == [job.uid for job in prompts()]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2: "),
        ("[]", "line 2: not a JSON object"),
        ('{"prompt": "x", "stepz": 3}', "stepz"),
        ('{"prompt": "x", "num_inference_steps": 100000}', "num_inference_steps"),
        ('{"id": "a", "input": {"prompt": "x"}}', "line 2: there is a line with the id 'a'"),
    ],
)
def test_a_line_that_cannot_be_a_job_is_named(line, why):
    """Before anything is painted."""
    with pytest.raises(BadPrompts, match=why):
        prompts(['{"id": "a", "input": {"prompt": "x"}}', line])


def test_all_are_painted_and_each_has_its_images_and_its_document():
    """In the names that a bridge would give them."""
    store = MemoryStore()
    jobs = prompts(prefix="batch/b")
    tally, told = painted(jobs, Painter(), store)
    assert (tally.total, tally.succeeded, tally.failed) == (3, 3, 0)
    assert [each.done for each in told] == [0, 1, 2, 3]
    (key,) = [key for key in store._objects if key.startswith("batch/b/second") and ".out" in key]
    document = json.loads(store.get(key))
    assert document["status"] == "succeeded"
    (output,) = document["outputs"]
    assert output["key"].startswith("batch/b/second/second-")
    assert output["bytes"] == len(store.get(output["key"]))
    assert output["seed"] == 3


def test_who_was_interrupted_goes_on_with_what_is_left():
    """Nothing is painted twice that had its document."""
    store, jobs = MemoryStore(), prompts()
    first = Painter()
    first.stop_after = 1
    with pytest.raises(ExceptionGroup):
        painted(jobs, first, store, at_once=1)
    second = Painter()
    tally, told = painted(jobs, second, store, at_once=1)
    assert (tally.succeeded, told[0].done) == (3, 1)
    assert sorted(first.painted + second.painted) == sorted(job.id for job in jobs)


def test_a_job_that_fails_does_not_end_the_batch_and_is_tried_again_next_time():
    """Its document says why."""
    store, jobs = MemoryStore(), prompts()
    tally, _ = painted(jobs, Painter(second=[FAILS]), store)
    assert (tally.succeeded, tally.failed) == (2, 1)
    documents = [json.loads(data) for key, data in store._objects.items() if ".out" in key]
    assert {each["id"]: each["error"] for each in documents}["second"] == {
        "code": "unsupported",
        "message": "not offered",
    }
    again = Painter()
    assert painted(jobs, again, store)[0].succeeded == 3
    assert again.painted == ["second"]


@pytest.mark.parametrize(("failures", "succeeded"), [(TRIES - 1, 3), (TRIES, 2)])
def test_what_may_pass_is_tried_again_at_once(failures, succeeded):
    """So often, then it has failed."""
    tally, _ = painted(prompts(), Painter(second=[MAY_PASS] * failures), MemoryStore())
    assert tally.succeeded == succeeded


def test_a_folder_holds_whole_files_only(tmp_path):
    """Under the keys of a bucket; what is not there is missing."""
    folder, prefix = outputs_at(str(tmp_path / "out"))
    assert isinstance(folder, Folder)
    assert prefix == ""
    folder.put("a/b.png", b"data", media_type="image/png")
    assert folder.get("a/b.png") == b"data"
    assert [path.name for path in (tmp_path / "out/a").iterdir()] == ["b.png"]
    with pytest.raises(ObjectMissing):
        folder.get("a/c.png")


def test_a_bucket_is_named_with_its_prefix(monkeypatch):
    """As the cluster gets it."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store, prefix = outputs_at("s3://bucket/batch/b/")
    assert (store.bucket, prefix) == ("bucket", "batch/b")
