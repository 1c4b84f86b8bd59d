"""A bridge keeps its RayService awake, whatever Kubernetes answers."""

import asyncio

import pytest

from bridge.errors import ClusterUnavailable
from bridge.settings import _place
from bridge.wake import keep_awake
from jobs.environment import BadSetting


class Service:
    """Answers by a script; stops the bridge at its end."""

    def __init__(self, *asleep):
        self.script = list(asleep)
        self.stop = asyncio.Event()
        self.woken = 0

    async def asleep(self):
        """The next of the script."""
        answer = self._next()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def wake(self):
        """Counted; the first call is an entry of the script too."""
        if self.woken == 0:
            answer = self._next()
            if isinstance(answer, Exception):
                raise answer
        self.woken += 1

    def _next(self):
        answer = self.script.pop(0)
        if not self.script:
            self.stop.set()
        return answer


DOWN = ClusterUnavailable("down")
SCRIPTS = {
    # The first entry is the writing that comes without a look.
    "awake all the time": ([None, False, False], 1),
    "put to sleep after we looked": ([None, False, True, False], 2),
    "still going to sleep when we wake it": ([None, True, True, False], 3),
    "Kubernetes away at first": ([DOWN, DOWN, None, False], 1),
    "Kubernetes away in between": ([None, DOWN, True, False], 2),
}


@pytest.mark.parametrize(("script", "woken"), SCRIPTS.values(), ids=SCRIPTS)
def test_it_is_woken_once_and_again_whenever_it_sleeps(script, woken):
    """Until nothing of sleep is left."""

    async def run():
        service = Service(*script)
        await keep_awake(service, service.stop, look_s=0.001, again_s=0.001)
        return service

    service = asyncio.run(run())
    assert (service.woken, service.script) == (woken, [])


@pytest.mark.parametrize("place", ["demo", "/demo", "darkroom/", "a/b/c"])
def test_a_service_that_is_not_named_in_full_is_refused(place):
    """At start, by the variable's name."""
    with pytest.raises(BadSetting, match="DARKROOM_WAKE_RAYSERVICE"):
        _place({"DARKROOM_WAKE_RAYSERVICE": place})


def test_nothing_is_woken_unless_somebody_says_so():
    """Deep sleep is an option."""
    assert _place({}) is None
    assert _place({"DARKROOM_WAKE_RAYSERVICE": "darkroom/demo"}) == "darkroom/demo"
