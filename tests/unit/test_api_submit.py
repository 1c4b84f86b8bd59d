"""POST /v1/jobs: accepted, published, the same request the same job; or a problem that helps."""

import json
from dataclasses import replace

import pytest

from jobs.inputs import Task
from jobs.message import Message
from jobs.samples import sample_request
from jobs.uid import is_uid, new_uid
from jobs.view import JobView
from records.errors import Unavailable
from records.memory import MemoryQueue, MemoryTable, MemoryTopic
from records.record import job_key
from records.sweep import Sweep, Sweeper

BODY = sample_request()


def problem(answer, status, code):
    """The faults of an answer that must be this problem, by pointer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["code"]) == (status, code)
    assert told["type"] == f"urn:darkroom:problem:{code}"
    assert told["title"]
    assert told["detail"]
    return {fault["pointer"]: fault["detail"] for fault in told["errors"]}


@pytest.mark.parametrize("task", Task)
def test_a_job_of_each_task_is_accepted_and_published(api, queue, task):
    """202, where to look, and the message in its runtime's queue."""
    answer = api.post("/v1/jobs", json=sample_request(task))
    view = JobView.model_validate(answer.json())
    assert answer.status_code == 202
    assert is_uid(view.uid)
    assert answer.headers["location"] == view.urls.get == f"/v1/jobs/{view.uid}"
    assert answer.headers["retry-after"] == "1"
    assert (view.object, view.status, view.model) == ("job", "queued", "tiny")
    assert view.times.published is not None
    [delivery] = queue.receive(limit=10, wait_s=0)
    message = Message.decode(delivery.body)
    assert message.job.uid == message.uid == view.uid
    assert message.job.input.task == task


def test_the_answer_shows_pictures_by_their_hash(api):
    """A client that polls does not download its own picture again and again."""
    answer = api.post("/v1/jobs", json=sample_request(Task.INPAINT))
    shown = answer.json()["input"]
    assert shown["image"].startswith("sha256:")
    assert shown["mask_image"].startswith("sha256:")


def test_the_same_id_with_the_same_body_is_the_same_job(api, backend):
    """A retry is answered like the first time, and published once."""
    first = api.post("/v1/jobs", json=BODY | {"id": "order-7"})
    second = api.post("/v1/jobs", json=BODY | {"id": "order-7"})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert len(backend.jobs.published) == 1


def test_the_same_id_with_another_body_is_a_conflict(api, backend):
    """409, and nothing is published."""
    api.post("/v1/jobs", json=BODY | {"id": "order-7"})
    answer = api.post("/v1/jobs", json=sample_request(seed=8) | {"id": "order-7"})
    problem(answer, 409, "id_in_use")
    assert len(backend.jobs.published) == 1


def test_a_repeated_request_of_a_job_that_has_ended_asks_for_no_patience(api):
    """There is nothing more to come."""
    body = BODY | {"id": "order-7"}
    api.post("/v1/jobs", json=body)
    api.post("/v1/jobs/order-7/cancel")
    answer = api.post("/v1/jobs", json=body)
    assert answer.json()["status"] == "canceled"
    assert "retry-after" not in answer.headers


def test_a_traceparent_goes_with_the_job(api, queue):
    """In the message; one that is none is not passed on."""
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    for given, kept in ((trace, trace), ("garbage", None), (trace + "x", None)):
        api.post("/v1/jobs", json=BODY, headers={"traceparent": given})
        [delivery] = queue.receive(limit=10, wait_s=0)
        assert Message.decode(delivery.body).job.trace == kept


MALFORMED = {
    "cut off": b'{"input": {"prompt": "x"',
    "no json": b"prompt=x",
    "not utf-8": b'{"input": {"prompt": "\xff"}}',
    "nested too deep": b"[" * 200_000,
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_body_that_is_no_json_is_malformed(api, what):
    """400, not a fault of one field."""
    answer = api.post(
        "/v1/jobs", content=MALFORMED[what], headers={"content-type": "application/json"}
    )
    assert problem(answer, 400, "malformed_json") == {}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (BODY | {"promt": 1}, {"/promt"}),
        (sample_request(steps=5), {"/input/steps"}),
        (sample_request(width=10_000, height=10_000), {"/input/width", "/input/height"}),
        (sample_request(width=65), {"/input/width"}),
        (sample_request(prompt="x" * 2001), {"/input/prompt"}),
        (sample_request(prompt="x" * 10_001), {"/input/prompt"}),
        (sample_request(prompt="\ud800"), {"/input/prompt"}),
        ({"input": {"prompt": "x", "task": "text-to-video"}}, {"/input"}),
        (BODY | {"callback": "http://example.org"}, {"/callback"}),
        (BODY | {"id": "../../etc"}, {"/id"}),
        (BODY | {"deadline": "0001-01-01T00:00:00+14:00"}, {"/deadline"}),
        ({}, {"/input"}),
        ([], {""}),
        ("text", {""}),
        (None, {""}),
    ],
)
def test_an_invalid_job_is_refused_with_a_pointer_to_each_fault(api, backend, body, pointers):
    """422, before anything is written or published."""
    content = json.dumps(body).encode()
    answer = api.post("/v1/jobs", content=content, headers={"content-type": "application/json"})
    assert set(problem(answer, 422, "invalid_input")) == pointers
    assert backend.jobs.published == []
    assert api.get("/v1/jobs").json()["data"] == []


def test_a_field_whose_name_is_no_text_is_refused_like_any_other(api):
    """Half a character in a name comes back in the pointer; the answer must still be sent."""
    content = b'{"input": {"prompt": "x"}, "\\ud800": 1, "metadata": {"\\ud801": "x"}}'
    answer = api.post("/v1/jobs", content=content, headers={"content-type": "application/json"})
    assert problem(answer, 422, "invalid_input")


def test_a_hundred_megapixels_are_refused_by_area(api):
    """Each side alone would be allowed."""
    answer = api.post("/v1/jobs", json=sample_request(width=256, height=256))
    found = problem(answer, 422, "invalid_input")
    assert found == {"/input/width": "width x height is 65536 pixels, the most is 32768"}


@pytest.mark.parametrize(
    ("wish", "code", "pointer"),
    [
        ({"runtime": "nowhere"}, "unknown_runtime", "/runtime"),
        ({"model": "nothing"}, "unknown_model", "/model"),
        ({"runtime": "other", "model": "tiny"}, "unknown_model", "/model"),
    ],
)
def test_an_unknown_runtime_or_model_is_refused_before_publishing(
    api, backend, wish, code, pointer
):
    """A code of its own, and what there is instead."""
    found = problem(api.post("/v1/jobs", json=BODY | wish), 422, code)
    assert found[pointer].startswith("must be one of ")
    assert backend.jobs.published == []


def test_a_body_that_is_too_large_is_refused(api):
    """413, whether its length was announced or not."""
    large = b'{"input": {"prompt": "' + b"x" * 5_500_000 + b'"}}'
    in_pieces = iter([large[:3_000_000], large[3_000_000:]])
    for content in (large, in_pieces):
        problem(api.post("/v1/jobs", content=content), 413, "too_large")


def test_a_large_picture_within_the_limit_is_published_by_reference(api, backend, queue):
    """The message is small; the job lies in the bucket."""
    answer = api.post("/v1/jobs", json=sample_request(Task.IMAGE_TO_IMAGE, image="A" * 400_000))
    [delivery] = queue.receive(limit=10, wait_s=0)
    message = Message.decode(delivery.body)
    assert len(delivery.body) < 1000
    assert message.uid == answer.json()["uid"]
    assert b"A" * 400_000 in backend.store.get(message.reference.key)


class DownTopic(MemoryTopic):
    """A topic that does not answer."""

    def publish(self, body, attributes):
        raise Unavailable("SNS Publish: it is down")


def test_a_job_that_cannot_be_published_is_accepted_and_published_later(backend, serve, queue):
    """202: the record is there, and the sweeper or a retry publishes it."""
    answer = serve(replace(backend, jobs=DownTopic())).post("/v1/jobs", json=BODY)
    assert answer.status_code == 202
    assert "published" not in {k for k, v in answer.json()["times"].items() if v is not None}
    assert queue.depth() == (0, 0)
    sweeper = Sweeper(
        table=backend.table,
        store=backend.store,
        jobs=backend.jobs,
        notices=backend.notices,
        webhooks=MemoryQueue(),
        retention_ms=1000_000,
    )
    assert sweeper.sweep(now_ms=backend.now_ms() + 60_000) == Sweep(published=1)
    [delivery] = queue.receive(limit=10, wait_s=0)
    assert Message.decode(delivery.body).uid == answer.json()["uid"]


def test_a_retry_publishes_what_the_first_request_could_not(backend, serve, queue):
    """And only then; a third request publishes nothing."""
    body = BODY | {"id": "order-7"}
    down = serve(replace(backend, jobs=DownTopic())).post("/v1/jobs", json=body)
    for _ in range(2):
        up = serve(backend).post("/v1/jobs", json=body)
        assert up.json()["uid"] == down.json()["uid"]
        assert up.json()["times"]["published"] is not None
    assert queue.depth() == (1, 0)


class DownTable(MemoryTable):
    """A table that does not answer."""

    def get(self, key):
        raise Unavailable("DynamoDB GetItem: it is down")

    def put_new(self, *items):
        raise Unavailable("DynamoDB PutItem: it is down")


def test_nothing_is_accepted_that_cannot_be_kept(backend, serve):
    """503 and when to come back; what AWS said stays inside."""
    api = serve(replace(backend, table=DownTable()))
    for answer in (api.post("/v1/jobs", json=BODY), api.get(f"/v1/jobs/{new_uid()}")):
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert "DynamoDB" not in answer.text


def test_what_a_client_posts_is_all_in_its_record(api, backend):
    """Metadata, deadline and priority come back when the job is read."""
    body = BODY | {
        "metadata": {"order": "7"},
        "deadline": "2027-01-01T00:00:00+01:00",
        "priority": "batch",
    }
    uid = api.post("/v1/jobs", json=body).json()["uid"]
    view = api.get(f"/v1/jobs/{uid}").json()
    assert view["metadata"] == {"order": "7"}
    assert view["deadline"] == "2026-12-31T23:00:00Z"
    assert view["priority"] == "batch"
    assert backend.table.get(job_key(uid))["deadline"] == 1798758000000


@pytest.mark.parametrize(
    ("fields", "due_s"), [({}, 800), ({"deadline": "2026-11-21T10:05:00Z"}, 300)]
)
def test_a_job_is_due_at_four_fifths_of_its_queues_retention(api, backend, fields, due_s):
    """Then its message may be lost; an earlier deadline comes first."""
    uid = api.post("/v1/jobs", json=BODY | fields).json()["uid"]
    assert backend.table.get(job_key(uid))["due_at"] == backend.now_ms() + due_s * 1000
