"""Watching a job: at the server's pace, and over a moment without an answer."""

import httpx
import pytest

from client import Unreachable
from client import client as client_module

VIEW = {
    "uid": "u",
    "id": "u",
    "status": "processing",
    "runtime": "demo",
    "model": "tiny",
    "priority": "interactive",
    "input": None,
    "times": {"accepted": "2026-11-21T10:00:00Z"},
    "urls": {"get": "/v1/jobs/u", "cancel": "/v1/jobs/u/cancel"},
}


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that the client makes, which then take no time."""
    made = []
    monkeypatch.setattr(client_module.time, "sleep", made.append)
    return made


def test_a_watch_outlasts_an_api_that_restarts(pauses, answering):
    """Two looks without an answer are not the end of it."""
    silences = iter([True, True, False])

    def restarting(request):
        if next(silences):
            raise httpx.ConnectError("nobody there")
        return httpx.Response(200, json=VIEW | {"status": "succeeded"})

    with answering(restarting) as client:
        assert client.wait("u").status == "succeeded"
    assert len(pauses) == 2


def test_a_watch_of_an_api_that_is_gone_ends(pauses, answering):
    """It does not wait for ever."""

    def gone(request):
        raise httpx.ConnectError("nobody there")

    with answering(gone) as client, pytest.raises(Unreachable, match="nobody there"):
        client.wait("u")
    assert pauses


def test_a_watch_keeps_the_servers_pace_but_shows_steps(pauses, answering):
    """It looks at least every half second, and sooner if the server says so."""
    answers = iter(
        [
            httpx.Response(200, json=VIEW, headers={"retry-after": "30"}),
            httpx.Response(200, json=VIEW, headers={"retry-after": "0.1"}),
            httpx.Response(200, json=VIEW),
            httpx.Response(200, json=VIEW | {"status": "succeeded", "newer_field": 1}),
        ]
    )
    with answering(lambda request: next(answers)) as client:
        assert client.wait("u").done
    assert pauses == [0.5, 0.1, 0.5]
