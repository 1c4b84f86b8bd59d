"""What a bridge is told by its environment."""

import pytest

from bridge.settings import BridgeSettings
from jobs.environment import BadSetting

GOOD = {
    "DARKROOM_RUNTIME": "demo",
    "DARKROOM_QUEUE_URL": "http://sqs/q",
    "DARKROOM_PARKED_QUEUE_URL": "http://sqs/parked",
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


def test_times_that_sqs_would_not_allow_name_their_variables():
    """It hides no message for more than twelve hours."""
    long = {**GOOD, "DARKROOM_START_TIMEOUT_S": "3600", "DARKROOM_ATTEMPT_TIMEOUT_S": "36000"}
    with pytest.raises(BadSetting, match=r"START_TIMEOUT_S.*ATTEMPT_TIMEOUT_S.*43200"):
        BridgeSettings.from_env(long)


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
