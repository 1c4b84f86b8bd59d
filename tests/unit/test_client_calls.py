"""The Python client: what it sends, what it makes of the answers, and of none."""

import socket
import threading
import time

import httpx
import pytest
import uvicorn

from api.app import create_app
from client import Client, ClientError, Refused, TimedOut, Unreachable
from client import client as client_module
from darkroom.ports import HOST
from jobs.outcome import Outcome
from jobs.samples import sample_request
from records.finish import finish
from records.lease import Lease, lease, start


@pytest.fixture
def server(backend):
    """The address of the API under uvicorn, on a port of its own."""
    config = uvicorn.Config(create_app(backend), host=HOST, port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://{HOST}:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def client(server):
    """A client of that API."""
    with Client(server) as client:
        yield client


@pytest.fixture
def quick(monkeypatch):
    """No pause between two looks at a job."""
    monkeypatch.setattr(client_module, "POLL_S", 0)


def hold(backend, uid):
    """The job in the hands of an owner, with Serve at work on it."""
    now = backend.now_ms()
    held = lease(backend.table, uid, owner="o", now_ms=now, until_ms=now + 60_000)
    assert isinstance(held, Lease)
    return start(backend.table, held, now_ms=now, until_ms=now + 60_000)


def test_a_job_is_submitted_read_listed_canceled_and_deleted(client):
    """Every call against the real API over real HTTP."""
    posted = client.submit(sample_request() | {"id": "order-7"})
    assert posted.status == "queued"
    assert client.job(posted.uid) == client.job("order-7") == posted
    assert [job.uid for job in client.jobs(status="queued", limit=5).data] == [posted.uid]
    assert client.cancel("order-7").status == "canceled"
    assert client.delete("order-7") is None
    assert client.job("order-7").deleted


def test_the_models_come_with_their_parameters(client):
    """What UI and command line build their forms from."""
    models = {model.id: model for model in client.models().data}
    assert models["tiny"].default
    assert "prompt" in models["tiny"].parameters["text-to-image"]["properties"]


def test_pages_lead_on_by_their_cursor(client):
    """As the API gives it, unchanged."""
    uids = {client.submit(sample_request()).uid for _ in range(3)}
    first = client.jobs(limit=2)
    second = client.jobs(limit=2, cursor=first.next_cursor)
    assert {job.uid for job in (*first.data, *second.data)} == uids
    assert second.next_cursor is None


def test_watching_shows_the_job_until_it_has_ended(client, backend, quick):
    """Each look is a view; the last one is terminal."""
    uid = client.submit(sample_request()).uid
    seen = []
    for view in client.watch(uid):
        seen.append(view.status.value)
        match view.status:
            case "queued":
                held = hold(backend, uid)
            case "processing":
                finish(
                    backend.table,
                    uid,
                    Outcome.canceled(),
                    by=held,
                    nonce="n",
                    now_ms=backend.now_ms(),
                )
    assert seen == ["queued", "processing", "canceled"]


def test_waiting_returns_the_job_as_it_ended(client, quick):
    """Also when it had ended before."""
    uid = client.submit(sample_request()).uid
    client.cancel(uid)
    assert client.wait(uid, timeout_s=30).status == "canceled"


def test_waiting_too_long_is_told_and_ends_nothing(client, quick):
    """The job goes on; it can be watched again."""
    uid = client.submit(sample_request()).uid
    with pytest.raises(TimedOut, match=f"job {uid} is still queued after 0 s"):
        client.wait(uid, timeout_s=0)
    assert client.job(uid).status == "queued"


def test_a_refusal_tells_each_fault(client):
    """The problem is there for programs, its sentences for people."""
    with pytest.raises(Refused) as refused:
        client.submit(sample_request(width=65, seed=-1))
    problem = refused.value.problem
    assert (problem.status, problem.code) == (422, "invalid_input")
    assert [fault.pointer for fault in problem.errors] == ["/input/seed"]
    assert "/input/seed: " in str(refused.value)


def test_a_job_that_is_not_there_is_a_refusal(client):
    """With its code."""
    with pytest.raises(Refused) as refused:
        client.job("nobody")
    assert refused.value.problem.code == "not_found"


def test_a_refusal_that_is_not_in_our_form_is_one_too(answering):
    """A gateway's own answers know nothing of problems."""

    def gateway(request):
        return httpx.Response(403, json={"message": "Forbidden"})

    with pytest.raises(Refused) as refused:
        answering(gateway).models()
    assert (refused.value.problem.status, refused.value.problem.code) == (403, "http_error")
    assert "Forbidden" in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>another program</html>"),
        httpx.Response(200, json={"hello": "world"}),
        httpx.Response(200, json=[]),
        httpx.Response(204),
    ],
)
def test_an_answer_of_something_else_is_no_traceback(answer, answering):
    """The address is that of another program: the client says so in its own words."""
    with pytest.raises(ClientError, match=r"http://api\.test"):
        answering(lambda request: answer).models()


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError]
)
def test_no_answer_is_told_with_the_address(error, answering):
    """Is it right, is the API up?"""

    def silent(request):
        raise error("went wrong")

    with pytest.raises(Unreachable, match=r"http://api\.test.*does not answer: went wrong"):
        answering(silent).models()


def test_nobody_listening_is_told_with_the_address(free_port):
    """Over real sockets."""
    with (
        pytest.raises(Unreachable, match=f":{free_port}"),
        Client(f"http://{HOST}:{free_port}") as client,
    ):
        client.models()


@pytest.fixture
def free_port():
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x", "http://host:port", "http://[::1"])
def test_an_address_that_is_none_is_no_traceback(url):
    """Somebody mistyped it."""
    with pytest.raises(Unreachable), Client(url) as client:
        client.models()


def test_the_key_is_sent_with_every_call_and_never_to_the_bucket(monkeypatch, answering):
    """An output's URL carries its own permission."""
    sent = []

    def api(request):
        sent.append(request.headers.get("x-api-key"))
        return httpx.Response(200, json={"object": "list", "data": []})

    client = answering(api, api_key="secret")
    client.models()
    client.jobs()
    assert sent == ["secret", "secret"]

    def bucket(url, **arguments):
        assert "headers" not in arguments
        return httpx.Response(200, content=b"pixels", request=httpx.Request("GET", url))

    monkeypatch.setattr(client_module.httpx, "get", bucket)
    assert client.download("http://bucket.test/a.png?signature=x") == b"pixels"


def test_a_url_that_has_expired_is_told(server):
    """The bucket's refusal is no traceback; reading the job again gives a fresh URL."""
    with Client(server) as client, pytest.raises(Unreachable, match="cannot download"):
        client.download(f"{server}/nothing")


@pytest.mark.parametrize("name", ["a?b", "a#b", "a/b", "../models", "a b", "ä", "%41"])
def test_a_name_is_one_part_of_the_path(name, answering):
    """Whatever somebody types must not become another request."""
    paths = []

    def api(request):
        paths.append(request.url.raw_path)
        return httpx.Response(404, json={})

    client = answering(api)
    for call in (client.job, client.cancel, client.delete):
        with pytest.raises(Refused):
            call(name)
    for path in paths:
        assert path.startswith(b"/v1/jobs/")
        rest = path.removeprefix(b"/v1/jobs/").removesuffix(b"/cancel")
        assert not {*b"?#/ "} & {*rest}
        assert httpx.URL(f"http://x/{rest.decode()}").path == f"/{name}"
