"""A deploy ends when what serves is what was applied, not when anything is ready."""

import pytest

from darkroom.deploy.errors import NotReady
from darkroom.deploy.switchover import Switchover
from darkroom.names import COMPONENT, RAY_HEAD, RUNTIME

NO_ROOM = "0/1 nodes are available: 1 Insufficient memory."


class KubeRay:
    """A cluster on which KubeRay 1.7 goes on by a state with each look.

    A list of states in `course`; what is written to `suspend` begins one of `sleep` or `wake`.
    """

    def __init__(self, course, *, room=True, sleep=(), wake=()):
        self.course, self.courses = list(course), {"true": list(sleep), "false": list(wake)}
        self.room, self.suspend, self.written = room, False, []
        self.looks, self.generation = 0, 2

    def kubectl(self, verb, *words):
        assert verb == "patch" and "rayservice/demo" in words
        wanted = "true" if '"suspend": true' in words[-1] else "false"
        self.written.append(wanted)
        self.suspend = wanted == "true"
        self.generation += 1
        self.course = self.courses[wanted]

    def items(self, kind, **_):
        if kind == "rayservices":
            self.looks += 1
            state = self.course.pop(0) if len(self.course) > 1 else self.course[0]
            self.state = state
            return [{"metadata": {"name": "demo", "generation": self.generation}} | self._of(state)]
        placed = {"type": "PodScheduled", "status": "True"}
        if not self.room and self.state["new"]:
            placed = {"type": "PodScheduled", "status": "False", "message": NO_ROOM}
        return [head("old", [{"type": "PodScheduled", "status": "True"}]), head("new", [placed])]

    def _of(self, state):
        seen = self.generation - state["stale"]
        conditions = [
            {"type": kind, "status": str(kind in state["true"]), "observedGeneration": seen}
            for kind in ("Ready", "UpgradeInProgress", "Suspended")
        ]
        status = {"conditions": conditions}
        if state["new"]:
            status["pendingServiceStatus"] = {"rayClusterName": "new"}
        return {"spec": {"suspend": self.suspend}, "status": status}


def head(cluster, conditions):
    labels = {"ray.io/cluster": cluster, COMPONENT: RAY_HEAD, RUNTIME: "demo"}
    status = {"phase": "Pending", "conditions": conditions}
    return {"metadata": {"name": f"{cluster}-head", "labels": labels}, "status": status}


def state(*true, new=False, stale=False):
    """Which conditions are true, whether a second cluster comes up, whether it is of before."""
    return {"true": true, "new": new, "stale": stale}


SERVING = state("Ready")
NOT_SEEN = state("Ready", stale=True)
BOTH = state("Ready", "UpgradeInProgress", new=True)
ASLEEP = state("Suspended")
COMING = state()


def after(kuberay):
    """What was said until the wait was over."""
    said = []
    Switchover(cluster=kuberay, say=said.append, sleep=lambda _: None).wait(["demo"])
    return said


def test_it_waits_until_the_second_cluster_has_taken_over():
    """The old one is Ready all the while, and what was applied may not be seen yet."""
    kuberay = KubeRay([NOT_SEEN, BOTH, BOTH, SERVING])
    assert after(kuberay) == []
    assert (kuberay.looks, kuberay.written) == (4, [])


def test_what_changed_nothing_is_not_waited_for():
    """No second cluster: only Serve's configuration is another."""
    kuberay = KubeRay([SERVING])
    assert after(kuberay) == []
    assert kuberay.looks == 1


def test_the_old_cluster_goes_first_where_there_is_no_room_for_both():
    """One system node: the new head would be pending for ever, and the old release stay."""
    kuberay = KubeRay([BOTH], room=False, sleep=[BOTH, COMING, ASLEEP], wake=[COMING, SERVING])
    [told] = after(kuberay)
    assert kuberay.written == ["true", "false"]
    assert "no node has room for a second Ray head" in told


def test_a_head_that_finds_room_within_a_minute_ends_nothing():
    """A pod that was going has gone."""
    kuberay = KubeRay([BOTH] * 8 + [SERVING], room=False)
    assert after(kuberay) == []
    assert kuberay.written == []


def test_a_first_cluster_without_room_is_told_of():
    """There is nothing that could make room: the group is too small."""
    first = state(new=True)
    kuberay = KubeRay([first], room=False)
    with pytest.raises(NotReady, match=r"demo: .*new-head: 0/1 nodes are available") as raised:
        after(kuberay)
    assert "not ready after 15 minutes" in str(raised.value)
    assert kuberay.written == []


def test_a_wake_by_somebody_else_does_no_harm():
    """A bridge that comes up wakes what it finds asleep: then there is nothing left to wake."""
    kuberay = KubeRay([BOTH], room=False, sleep=[COMING, SERVING])
    patch = kuberay.kubectl

    def woken_at_once(*words):
        patch(*words)
        kuberay.suspend = False

    kuberay.kubectl = woken_at_once
    after(kuberay)
    assert kuberay.written == ["true"]


def test_what_deep_sleep_took_meanwhile_is_not_woken():
    """It was ready, and the next job wakes it."""
    kuberay = KubeRay([ASLEEP])
    kuberay.suspend = True
    assert after(kuberay) == []
    assert kuberay.written == []
