"""What the timers owe each other, checked where they are set."""

import re
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from darkroom.cluster.timers import INEQUALITIES, Timers, broken
from tests.timetable import timers_of

OPERATIONS = Path(__file__).resolve().parents[2] / "docs/operations.md"
#: A row of its table: the timer, its seconds, where it is set, what it does.
ROW = re.compile(r"^\| `(\w+)` \| ([\d.]+) \| \w[^|]* \| \w[^|]* \|$", re.MULTILINE)
#: By an hour too long: each breaks what is named beside it.
TOO_LONG = {
    "heartbeat": "3 heartbeats < visibility",
    "tick": "3 ticks < lease",
    "lease": "lease < visibility",
    "bridge_grace": "bridge's grace + 30 s < its pod's",
    "attempt": "attempt < old cluster",
    "look_back": "look back < to zero",
    "metrics": "metrics < look back",
    "shutdown": "shutdown < drain",
    "drain": "drain < worker's grace",
    "worker_grace": "worker's grace < spot notice",
    "to_zero": "to zero + look back + proxy's drain + Ray's idle < KEDA's cooldown",
    "ray_idle": "to zero + look back + proxy's drain + Ray's idle < KEDA's cooldown",
    "keda_poll": "KEDA's poll <= 5 s",
    "depth_poll": "look at the depth < KEDA's poll",
    "ray_tick": "Ray's tick <= 5 s",
    "api": "API < API Gateway",
    "serve_start": "Serve's start <= the bridge's",
}


@pytest.mark.parametrize(
    ("runtime", "queue"),
    [
        ("demo", "demo"),
        ("demo", "demo-batch"),
        ("painter", "painter"),
        ("painter", "painter-batch"),
    ],
)
def test_all_inequalities_hold(runtime, queue, whole):
    """In what is rendered and in Terraform; a failure says which broke and why it matters."""
    assert list(broken(timers_of(whole, runtime, queue))) == []


@pytest.mark.parametrize("timer", TOO_LONG)
def test_a_timer_set_too_long_is_named(timer, whole):
    """With the inequality that it breaks, its numbers, and the reason."""
    timers = timers_of(whole, "demo", "demo")
    wrong = replace(timers, **{timer: getattr(timers, timer) + 3600})
    said = [each for each in broken(wrong) if each.startswith(TOO_LONG[timer])]
    assert len(said) == 1
    assert said[0].count(" s") >= 2
    assert said[0].partition("): ")[2]


@pytest.mark.parametrize("inequality", INEQUALITIES, ids=lambda each: each.name)
def test_every_inequality_can_break(inequality, whole):
    """None is true by construction: there is a timer that is too long or too short for it."""
    timers = timers_of(whole, "demo", "demo")
    others = (
        replace(timers, **{field.name: value}) for field in fields(Timers) for value in (0.0, 1e9)
    )
    assert not all(inequality.holds(each) for each in others)


def test_the_runbook_says_what_each_timer_does(whole):
    """One row for each: what it is set to now, where, and what for."""
    rows = ROW.findall(OPERATIONS.read_text("utf-8"))
    told = {name: float(seconds) for name, seconds in rows}
    assert len(told) == len(rows)
    assert told == asdict(timers_of(whole, "demo", "demo"))
