"""What a bridge is told by its environment."""

import pytest

from bridge.errors import BridgeError, JobRefused, Overloaded, ServeUnavailable
from bridge.settings import BridgeSettings
from bridge.verdict import Leave, Park, Release, verdict_for
from jobs.environment import BadSetting
from jobs.errors import Fault, InvalidJob, NewerSchema, UnknownModel
from jobs.status import ErrorCode
from records.errors import ConditionFailed, LeaseLost, ObjectMissing, Unavailable

GOOD = {
    "DARKROOM_RUNTIME": "demo",
    "DARKROOM_QUEUE_URL": "http://sqs/q",
    "DARKROOM_SERVE_URL": "http://serve/demo",
    "DARKROOM_JOB_TABLE": "jobs",
    "DARKROOM_BUCKET": "outputs",
    "DARKROOM_NOTICES_TOPIC_ARN": "arn:aws:sns:us-east-1:0:notices",
}


def test_good_settings_are_read_with_their_defaults():
    """Only names and addresses have to be said."""
    settings = BridgeSettings.from_env(GOOD)
    assert settings.visibility_s == 120
    assert settings.heartbeat_s < settings.visibility_s / 3


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_variable_is_named(name):
    """At start, not when the first job needs it."""
    with pytest.raises(BadSetting, match=name):
        BridgeSettings.from_env({**GOOD, name: ""})


def test_a_heartbeat_that_is_too_slow_names_both_variables():
    """A lease is a rule between two numbers."""
    slow = {**GOOD, "DARKROOM_VISIBILITY_S": "30", "DARKROOM_HEARTBEAT_S": "10"}
    with pytest.raises(BadSetting, match=r"DARKROOM_HEARTBEAT_S.*DARKROOM_VISIBILITY_S"):
        BridgeSettings.from_env(slow)


def test_buckets_and_plain_http_are_closed_unless_said():
    """What a client may make the bridge read is named, never guessed."""
    settings = BridgeSettings.from_env(GOOD)
    assert (settings.input_buckets, settings.http_inputs) == (frozenset(), False)
    more = {"DARKROOM_INPUT_BUCKETS": "in other-in", "DARKROOM_HTTP_INPUTS": "1"}
    settings = BridgeSettings.from_env({**GOOD, **more})
    assert (settings.input_buckets, settings.http_inputs) == ({"in", "other-in"}, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_RUNTIME", "nosuch"),
        ("DARKROOM_GRACE_S", "soon"),
        ("DARKROOM_HTTP_INPUTS", "yes"),
    ],
)
def test_a_value_that_cannot_be_is_named(name, value):
    """Never swallowed, never guessed."""
    with pytest.raises(BadSetting, match=name):
        BridgeSettings.from_env({**GOOD, name: value})


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (LeaseLost(), Leave),
        (NewerSchema(), Release),
        (InvalidJob([Fault(pointer="", detail="x")]), Park),
        (UnknownModel([Fault(pointer="/model", detail="x")]), Park),
        (Unavailable(), Release),
        (ServeUnavailable(), Release),
        (Overloaded(1), Release),
        (JobRefused(ErrorCode.INVALID_INPUT, "x"), Release),
        (BridgeError(), Release),
        (ObjectMissing(), Release),
        (ConditionFailed(), Release),
        (ZeroDivisionError(), Release),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_one_verdict(error, verdict):
    """The only table of its kind."""
    assert isinstance(verdict_for(error), verdict)


def test_a_release_after_an_error_is_never_immediate():
    """A dependency that is down is not hammered."""
    delays = {verdict_for(Unavailable()).delay_s for _ in range(20)}  # type: ignore[union-attr]
    assert min(delays) >= 1
    assert len(delays) > 1


def test_a_message_that_fails_again_and_again_comes_back_less_and_less_often():
    """An outage of hours must not use up the queue's fifty receives."""
    verdict = verdict_for(Unavailable())
    assert isinstance(verdict, Release)
    delays = [verdict.delay_of(receives) for receives in range(1, 51)]
    assert delays == sorted(delays)
    assert delays[0] <= 10
    assert delays[-1] == 900
    assert sum(delays) > 8 * 3600


def test_a_release_that_is_nobody_s_fault_does_not_back_off():
    """Told to stop, or somebody else has the job."""
    assert Release(delay_s=0, reason="stopping").delay_of(40) == 0
