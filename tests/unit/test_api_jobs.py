"""Reading, listing, canceling and deleting jobs over HTTP."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.outcome import ImageOutput, Outcome
from jobs.samples import sample_request
from jobs.status import ErrorCode, Status
from jobs.uid import new_uid
from records.announce import announce
from records.errors import ObjectMissing, Unavailable
from records.finish import finish
from records.lease import Position, lease, start, tick
from records.memory import MemoryQueue, MemoryTopic
from records.sweep import Sweeper

KEY = "default/order-7/order-7-ab12-1.png"
SUCCESS = Outcome(
    status=Status.SUCCEEDED,
    outputs=(
        ImageOutput(
            key=KEY, media_type="image/png", sha256="0" * 64, bytes=6, width=64, height=64, seed=7
        ),
    ),
)


@pytest.fixture
def posted(api):
    """A function that posts a job and returns its uid."""

    def post(**fields):
        answer = api.post("/v1/jobs", json=sample_request() | fields)
        assert answer.status_code == 202
        return answer.json()["uid"]

    return post


@pytest.fixture
def run(backend):
    """A function that gives a job to an owner, with Serve at work on it."""

    def leased(uid):
        now = backend.now_ms()
        held = lease(backend.table, uid, owner=new_uid(), now_ms=now, until_ms=now + 60_000)
        return start(backend.table, held, now_ms=now, until_ms=now + 60_000)

    return leased


@pytest.fixture
def end(backend, run):
    """A function that runs a job to its end, without announcing it."""

    def ended(uid, outcome=SUCCESS):
        backend.store.put(KEY, b"pixels", media_type="image/png")
        return finish(
            backend.table, uid, outcome, by=run(uid), nonce="n", now_ms=backend.now_ms()
        ).record

    return ended


def test_a_job_is_read_by_its_uid_and_by_the_clients_id(api, posted):
    """Both names, the same answer."""
    uid = posted(id="order-7")
    by_uid, by_id = api.get(f"/v1/jobs/{uid}"), api.get("/v1/jobs/order-7")
    assert by_uid.status_code == by_id.status_code == 200
    assert by_uid.json() == by_id.json()
    assert by_uid.json()["id"] == "order-7"


@pytest.mark.parametrize(
    "name",
    [
        "nobody",
        # An id of its own: with the uid in it two processes would not collect the same test.
        pytest.param(new_uid(), id="a uid"),
        *("x" * 3000, "%00", "a%23b", "%F0%9F%A7%80", "%ff", "..%2f.."),
    ],
)
def test_a_job_that_is_not_there_is_not_found(api, name):
    """Whatever it is called: 404, and never a fault of ours."""
    for answer in (
        api.get(f"/v1/jobs/{name}"),
        api.post(f"/v1/jobs/{name}/cancel"),
        api.delete(f"/v1/jobs/{name}"),
    ):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "not_found"


def test_a_running_job_shows_how_far_it_is(api, backend, posted, run):
    """Stage, step and attempt, and when to look again."""
    uid = posted()
    held = run(uid)
    position = Position(stage="denoise", step=3, total=4, stages={"denoise": backend.now_ms()})
    tick(backend.table, held, position, until_ms=backend.now_ms() + 60_000)
    answer = api.get(f"/v1/jobs/{uid}")
    view = answer.json()
    assert answer.headers["retry-after"] == "1"
    assert (view["status"], view["attempts"]) == ("processing", 1)
    assert view["progress"] == {"stage": "denoise", "step": 3, "total": 4}
    assert view["times"]["stages"] == {"denoise": "2026-11-21T10:00:00Z"}


def test_an_ended_job_has_a_url_for_each_image_made_when_it_is_read(api, backend, posted, end):
    """Presigned just now, for as long as the settings say; the record has none."""
    uid = posted()
    end(uid)
    answer = api.get(f"/v1/jobs/{uid}")
    [output] = answer.json()["outputs"]
    assert "retry-after" not in answer.headers
    assert output["url"] == f"memory://memory/{KEY}?expires=600"
    assert (output["key"], output["sha256"], output["seed"]) == (KEY, "0" * 64, 7)
    assert "memory://" not in str(backend.table.get(f"job#{uid}"))


def test_a_failed_job_says_why(api, posted, end):
    """A code for programs, a sentence for people."""
    uid = posted()
    end(uid, Outcome.failed(ErrorCode.OUT_OF_MEMORY, "the model does not fit"))
    view = api.get(f"/v1/jobs/{uid}").json()
    assert view["error"] == {"code": "out_of_memory", "message": "the model does not fit"}


def test_jobs_are_listed_newest_first_page_by_page(backend, serve):
    """The cursor leads to the end and no further."""
    uids = []
    for number in range(5):
        moment = backend.clock() + timedelta(seconds=number)
        api = serve(replace(backend, clock=lambda moment=moment: moment))
        uids.append(api.post("/v1/jobs", json=sample_request()).json()["uid"])
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/jobs", params=query).json()
        seen += [job["uid"] for job in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert page["object"] == "list"
    assert seen == uids[::-1]


def test_a_listing_can_be_of_one_status(api, posted, end):
    """Also where all of a page is of another."""
    done, waiting = posted(), posted()
    end(done)
    for status, uids in (("succeeded", [done]), ("queued", [waiting]), ("failed", [])):
        data = api.get("/v1/jobs", params={"status": status}).json()["data"]
        assert [job["uid"] for job in data] == uids


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=many", "status=done", "cursor=garbage", "cursor="]
)
def test_a_parameter_that_cannot_be_is_refused_by_name(api, query):
    """400, and the detail names it."""
    answer = api.get(f"/v1/jobs?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_parameter"
    assert query.partition("=")[0] in answer.json()["detail"]


def test_a_queued_job_is_canceled_at_once_and_announced(api, inbox, posted):
    """The API ends it, so the API tells."""
    uid = posted()
    answer = api.post(f"/v1/jobs/{uid}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert answer.json()["times"]["notified"] is not None
    [delivery] = inbox.receive(limit=10, wait_s=0)
    notice = json.loads(delivery.body)
    assert (notice["status"], notice["job"]["status"]) == ("failed", "canceled")
    assert notice["job"]["uid"] == uid


def test_canceling_twice_announces_once(api, inbox, posted):
    """The second sees what the first has done."""
    uid = posted()
    first = api.post(f"/v1/jobs/{uid}/cancel").json()
    assert api.post(f"/v1/jobs/{uid}/cancel").json() == first
    assert inbox.depth() == (1, 0)


def test_a_running_job_is_asked_to_stop(api, inbox, posted, run):
    """Its owner ends and announces it."""
    uid = posted()
    run(uid)
    view = api.post(f"/v1/jobs/{uid}/cancel").json()
    assert (view["status"], view["cancel_requested"]) == ("processing", True)
    assert inbox.depth() == (0, 0)


def test_canceling_a_job_that_has_ended_changes_nothing(api, posted, end):
    """A success stays a success."""
    uid = posted()
    end(uid)
    assert api.post(f"/v1/jobs/{uid}/cancel").json()["status"] == "succeeded"


def test_a_deleted_job_leaves_a_tombstone(api, backend, posted, end):
    """204; the images are gone, and what it was asked; that it was there stays known."""
    uid = posted(id="order-7", metadata={"name": "Ada"})
    end(uid)
    assert api.delete("/v1/jobs/order-7").status_code == 204
    with pytest.raises(ObjectMissing):
        backend.store.get(KEY)
    view = api.get(f"/v1/jobs/{uid}").json()
    assert (view["status"], view["deleted"]) == ("succeeded", True)
    assert (view["input"], view["outputs"], view["metadata"]) == (None, [], {})
    assert api.delete("/v1/jobs/order-7").status_code == 204


@pytest.mark.parametrize("running", [False, True])
def test_a_job_that_has_not_ended_cannot_be_deleted(api, posted, run, running):
    """409, and what to do first."""
    uid = posted()
    if running:
        run(uid)
    answer = api.delete(f"/v1/jobs/{uid}")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_done")
    assert "cancel it first" in answer.json()["detail"]


def test_a_job_is_announced_before_it_is_deleted(api, inbox, posted, end):
    """Its notice names the images; after that nobody could."""
    uid = posted()
    end(uid)
    api.delete(f"/v1/jobs/{uid}")
    [delivery] = inbox.receive(limit=10, wait_s=0)
    assert json.loads(delivery.body)["image_url"] == [f"s3://memory/{KEY}"]


def test_a_job_that_was_announced_is_not_announced_by_deleting_it(api, backend, inbox, posted, end):
    """One notice is enough."""
    record = end(posted())
    announce(backend.table, backend.notices, record, bucket="memory", now_ms=backend.now_ms())
    api.delete(f"/v1/jobs/{record.uid}")
    assert inbox.depth() == (1, 0)


class DownTopic(MemoryTopic):
    """A topic that does not answer."""

    def publish(self, body, attributes):
        raise Unavailable("SNS Publish: it is down")


def sweep(backend):
    """A sweep two minutes from now."""
    sweeper = Sweeper(
        table=backend.table,
        store=backend.store,
        jobs=backend.jobs,
        notices=backend.notices,
        webhooks=MemoryQueue(),
        retention_ms=1000_000,
    )
    return sweeper.sweep(now_ms=backend.now_ms() + 120_000)


def test_a_job_canceled_while_notices_are_down_is_announced_later(backend, serve, inbox, posted):
    """The terminal state stands; the sweeper tells."""
    uid = posted()
    answer = serve(replace(backend, notices=DownTopic())).post(f"/v1/jobs/{uid}/cancel")
    assert answer.json()["status"] == "canceled"
    assert sweep(backend).announced == 1
    assert inbox.depth() == (1, 0)


def test_no_job_is_deleted_before_its_notice_could_be_sent(backend, serve, inbox, posted, end):
    """503: otherwise nobody would ever be told of it."""
    uid = posted()
    end(uid)
    answer = serve(replace(backend, notices=DownTopic())).delete(f"/v1/jobs/{uid}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert backend.store.get(KEY) == b"pixels"
    assert sweep(backend).announced == 1
    assert inbox.depth() == (1, 0)
