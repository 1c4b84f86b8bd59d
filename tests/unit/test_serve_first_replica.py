"""A job at zero waits in the ingress for the policy, and no longer than makes sense."""

import asyncio

import pytest

from serve_app.capacity import Replicas
from serve_app.errors import Unavailable
from serve_app.first_replica import first_replica

NONE = Replicas(ready=0, wanted=0)
COMING = Replicas(ready=0, wanted=4)
THERE = Replicas(ready=1, wanted=4)


class Controller:
    """Says one thing after the other, the last for ever."""

    def __init__(self, *script):
        self.script = list(script)
        self.asked = 0

    async def replicas(self):
        """The next of the script."""
        self.asked += 1
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def waited(*script, policy_s=0.05, start_timeout_s=60):
    """How often the controller was asked until the job went on."""
    controller = Controller(*script)
    waiting = first_replica(
        controller, policy_s=policy_s, start_timeout_s=start_timeout_s, look_s=0.01
    )
    asyncio.run(waiting)
    return controller.asked


def test_with_a_replica_a_job_goes_on_at_once():
    """One look."""
    assert waited(THERE) == 1


def test_without_a_policy_nobody_waits():
    """Serve decides by the jobs that reach it."""
    assert waited(NONE, policy_s=0) == 0


def test_a_job_waits_until_the_first_of_the_wanted_replicas_is_there():
    """Meanwhile Serve has no request, so it asks the policy, which may want more."""
    assert waited(NONE, COMING, COMING, COMING, THERE) == 5


def test_a_job_goes_on_if_the_policy_wants_none():
    """It is blind, or the job came past the queue."""
    assert waited(NONE) > 1


def test_a_replica_that_cannot_start_is_no_reason_to_wait():
    """The client is told why."""
    broken = Replicas(ready=0, wanted=1, load_error="no such directory")
    with pytest.raises(Unavailable, match="no such directory"):
        waited(COMING, broken)


def test_nobody_waits_for_ever():
    """A node that does not come within the start's time."""
    with pytest.raises(Unavailable, match="no replica within"):
        waited(COMING, start_timeout_s=0.05)
