"""The command line's parts that need no stack: addresses, ports, timeline, a full disk."""

import base64
import json
import socket
from datetime import UTC, datetime, timedelta

import pytest

from darkroom import stack as stack_module
from darkroom.cli import run
from darkroom.errors import NoStack, PortTaken, StackError
from darkroom.ports import Ports
from darkroom.screen import timeline
from darkroom.stack import Stack
from darkroom.state import Address, find_api, remove_state, write_state
from jobs.view import JobView
from records.webhook import WebhookKeys

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    """In an empty directory, where no stack was started."""
    monkeypatch.chdir(tmp_path)


def test_an_address_that_was_said_goes_before_the_environment_and_that_before_the_stack():
    """The closer to the command, the stronger."""
    environ = {"DARKROOM_API_URL": "http://env", "DARKROOM_API_KEY": "env-key"}
    write_state({"api": "http://stack", "api_key": "stack-key"})
    assert find_api("http://said", "said-key", environ) == Address(
        url="http://said", key="said-key"
    )
    assert find_api(None, None, environ) == Address(url="http://env", key="env-key")
    assert find_api(None, None, {}) == Address(url="http://stack", key="stack-key")
    remove_state()
    with pytest.raises(NoStack, match="darkroom up"):
        find_api(None, None, {})


def test_the_stack_s_key_is_for_its_user_only(tmp_path):
    """It lies in a file."""
    write_state({"api": "http://stack", "api_key": "k"})
    (path,) = tmp_path.rglob("stack.json")
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["api_key"] == "k"


def test_a_usual_port_that_is_taken_is_replaced_by_a_free_one():
    """A second stack gets another address; a port that was asked for is refused instead."""
    taken = Ports.free().api
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", taken))
        holder.listen()
        with pytest.raises(PortTaken, match=f"port {taken}"):
            Ports.free().having(api=taken)
    assert Ports.free().having(api=taken).api == taken


def test_a_full_disk_is_one_sentence_and_nothing_is_left(tmp_path, monkeypatch):
    """Before anything is started."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(stack_module, "_DISK_NEEDED", 1 << 60)
    with pytest.raises(StackError, match="MiB free"), Stack.running():
        raise AssertionError("it must not start")
    assert list(tmp_path.iterdir()) == []


def test_the_timeline_counts_from_acceptance_and_has_only_what_has_happened():
    """Seconds, in the order of a job's life."""
    view = JobView.model_validate(
        {
            "uid": "u",
            "id": "u",
            "status": "processing",
            "runtime": "demo",
            "model": "demo",
            "priority": "interactive",
            "input": None,
            "times": {
                "accepted": NOW,
                "leased": NOW + timedelta(seconds=1),
                "stages": {"denoise": NOW + timedelta(seconds=3)},
            },
            "urls": {"get": "/", "cancel": "/"},
        }
    )
    assert timeline(view) == [("accepted", 0), ("leased", 1), ("denoise", 3)]


def test_cost_answers_for_a_load(capsys):
    """One JSON document: idle, variable and both, and per million images."""
    assert run(["cost", "--images-per-month", "2e6", "--on-demand", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["month_usd"] == pytest.approx(found["idle_usd"] + found["variable_usd"], abs=0.02)
    assert found["per_million_usd"] == pytest.approx(found["variable_usd"] / 2, abs=0.01)


def test_cost_names_what_the_guidance_has_published(capsys):
    """Of April 2024 and of March 2026, to compare with."""
    assert run(["cost"]) == 0
    said = capsys.readouterr().err
    assert "436.42" in said
    assert "429.50" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--environment", "moon"], "dev, sleep or prod"),
        (["--expose", "everywhere"], "none, internal, public"),
        (["--instance", "p6.48xlarge"], "no price"),
    ],
)
def test_cost_says_what_it_does_not_know(capsys, arguments, said):
    """Exit status 2, as for every command that could not run."""
    assert run(["cost", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_cost_takes_a_plan_and_refuses_what_is_none(capsys, tmp_path):
    """A file that is JSON but no plan is named."""
    (tmp_path / "plan.json").write_text("{}")
    assert run(["cost", "--plan", str(tmp_path / "plan.json")]) == 2
    assert "is no plan" in capsys.readouterr().err


def test_a_tenant_s_webhook_secret_is_printed_for_who_has_the_key(monkeypatch, capsys):
    """What the worker signs with, so that it can be handed out."""
    key = base64.b64encode(b"k" * 32).decode()
    monkeypatch.setenv("DARKROOM_WEBHOOK_KEYS", key)
    assert run(["webhook-secret", "acme"]) == 0
    assert capsys.readouterr().out.strip() == WebhookKeys([b"k" * 32]).secrets("acme")[0]
    monkeypatch.delenv("DARKROOM_WEBHOOK_KEYS")
    assert run(["webhook-secret", "acme"]) == 2
    assert "DARKROOM_WEBHOOK_KEYS" in capsys.readouterr().err
