"""The stand-in follows KEDA's rules; the autoscaling test is worth no more than it."""

import pytest

from records.errors import Unavailable
from tests.integration.keda import Keda, ScaledObject

#: The mission's.
FIGURES = ScaledObject(
    queue_length=10, max_replicas=5, polling_s=5, cooldown_s=300, stabilization_s=300
)


@pytest.fixture
def keda():
    """With the mission's figures and a queue that a test fills."""
    messages = [0]
    steps = []

    def depth():
        if messages[0] is None:
            raise Unavailable("down")
        return 0, messages[0]  # all in flight: with `scaleOnInFlight` they count

    made = Keda(spec=FIGURES, depth=depth, scale=steps.append)
    made.messages, made.steps = messages, steps
    return made


def poll(keda, now, messages):
    """The replicas after a poll at that time that finds so many messages."""
    keda.messages[0] = messages
    return keda.poll(now)


def test_the_first_message_brings_one_and_the_rest_follow(keda):
    """KEDA activates, the HPA takes over."""
    assert [poll(keda, now, 50) for now in (0, 5, 10)] == [1, 5, 5]


def test_zero_comes_in_one_step_after_the_cooldown(keda):
    """Not before, however long it has been empty."""
    poll(keda, 0, 50)
    poll(keda, 5, 50)
    assert [poll(keda, now, 0) for now in (10, 200, 304)] == [5, 5, 5]
    assert poll(keda, 305, 0) == 0
    assert keda.steps == [1, 5, 0]


def test_fewer_messages_take_bridges_away_only_after_the_window(keda):
    """The HPA looks at the highest wish of five minutes."""
    poll(keda, 0, 50)
    poll(keda, 5, 50)
    assert poll(keda, 100, 11) == 5
    assert poll(keda, 306, 11) == 2


def test_a_queue_that_does_not_answer_changes_nothing(keda):
    """KEDA without a fallback leaves the replicas as they are."""
    poll(keda, 0, 50)
    assert poll(keda, 1000, None) == 1


def test_a_message_in_flight_keeps_its_bridge(keda):
    """However long it waits for Serve: nothing is visible, and something is to do."""
    assert [poll(keda, now, 1) for now in (0, 300, 900)] == [1, 1, 1]
