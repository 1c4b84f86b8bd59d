"""What keeps a RayService awake: each guard alone, and each race of putting it to sleep.

The surroundings here are told; tests/integration/test_deep_sleep.py has a real API server.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from darkroom.errors import Conflict, ServeSilent
from darkroom.observed import Observed
from darkroom.serve_state import Deployment, deployments
from darkroom.sleep import SleepSettings
from darkroom.sleeper import Sleeper
from jobs.environment import BadSetting

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
INGRESS = Deployment(
    app="demo", name="ingress", status="HEALTHY", message="", wanted=1, replicas={"RUNNING": 1}
)


def generator(*, wanted=0, **replicas):
    """The generator's state."""
    return Deployment(
        app="demo",
        name="generator",
        status="HEALTHY",
        message="",
        wanted=wanted,
        replicas=replicas,
    )


def observed(*, suspend=False, ready="True", version="1", **conditions):
    """A RayService as it is read."""
    listed = [{"type": "Ready", "status": ready}]
    listed += [{"type": kind, "status": value} for kind, value in conditions.items()]
    return Observed(
        document={
            "metadata": {"name": "demo", "resourceVersion": version, "generation": 1},
            "spec": {"suspend": suspend},
            "status": {"conditions": listed},
        }
    )


@dataclass
class Told:
    """Surroundings that are what a test says; `after` changes them after so many looks."""

    seen: Observed = field(default_factory=observed)
    in_queue: int = 0
    wanted: int = 0
    serve: list = field(default_factory=lambda: [INGRESS, generator()])
    workers: int = 0
    active: datetime | None = NOW - timedelta(hours=1)
    refuse: bool = False
    looks: int = 0
    suspended: list = field(default_factory=list)
    after: dict = field(default_factory=dict)

    def service(self):
        self.looks += 1
        for name, value in self.after.get(self.looks, {}).items():
            setattr(self, name, value)
        return self.seen

    def messages(self):
        return self.in_queue

    def bridges(self):
        return self.wanted

    def deployments(self):
        if isinstance(self.serve, Exception):
            raise self.serve
        return self.serve

    def gpu_workers(self):
        return self.workers

    def last_active(self):
        return self.active

    def suspend(self, seen):
        if self.refuse:
            raise Conflict("409")
        self.suspended.append(seen.version)


def tried(told):
    """The verdict on these surroundings, and the pauses between its looks."""
    pauses = []
    sleeper = Sleeper(
        around=told,
        samples=3,
        over_s=90,
        idle=timedelta(minutes=30),
        pause=pauses.append,
        now=lambda: NOW,
    )
    return sleeper.run(), pauses


def test_with_nothing_to_do_it_sleeps_after_three_looks_over_ninety_seconds():
    """The write carries the version of the last look."""
    told = Told(after={3: {"seen": observed(version="9")}})
    verdict, pauses = tried(told)
    assert verdict.asleep
    assert (told.looks, pauses, told.suspended) == (3, [45, 45], ["9"])


AWAKE = {
    "a message": ({"in_queue": 1}, "messages in the queue: 1"),
    "a bridge": ({"wanted": 1}, "bridges wanted: 1"),
    "a replica that is wanted": ({"serve": [generator(wanted=1)]}, "generator"),
    "a replica that stops": ({"serve": [generator(STOPPING=1)]}, "generator"),
    "a GPU worker": ({"workers": 1}, "GPU workers: 1"),
    "messages a moment ago": ({"active": NOW - timedelta(minutes=29)}, "messages were there"),
    "not ready yet": ({"seen": observed(ready="False")}, "not ready"),
    "an upgrade": ({"seen": observed(UpgradeInProgress="True")}, "not ready"),
}


@pytest.mark.parametrize("look", [1, 2, 3])
@pytest.mark.parametrize("case", AWAKE.values(), ids=AWAKE)
def test_each_guard_alone_keeps_it_awake_at_every_look(case, look):
    """Whatever is seen at one look is enough."""
    changed, reason = case
    told = Told(after={look: changed})
    verdict, _ = tried(told)
    assert (verdict.asleep, told.suspended, told.looks) == (False, [], look)
    assert reason in verdict.reason


def test_who_is_refused_lets_it_be_awake():
    """A bridge wrote between our reading and our writing."""
    verdict, _ = tried(Told(refuse=True))
    assert not verdict.asleep
    assert "meanwhile" in verdict.reason


def test_what_sleeps_already_is_left_alone():
    """No second write; it might undo a waking that is on its way."""
    told = Told(seen=observed(suspend=True, ready="False"))
    assert tried(told)[0].asleep
    assert told.suspended == []


def test_who_is_blind_lets_it_be_awake():
    """Serve does not answer: nothing is written."""
    told = Told(serve=ServeSilent("down"))
    with pytest.raises(ServeSilent):
        tried(told)
    assert told.suspended == []


def test_a_service_that_never_had_a_message_may_sleep():
    """KEDA has written no time."""
    assert tried(Told(active=None))[0].asleep


DETAILS = {
    "applications": {
        "demo": {
            "deployments": {
                "generator": {
                    "status": "UPSCALING",
                    "message": "",
                    "target_num_replicas": 3,
                    "replicas": [
                        {"state": "RUNNING"},
                        {"state": "STARTING"},
                        {"state": "STARTING"},
                    ],
                }
            }
        }
    }
}


def answering(status, document, asked=None):
    """A dashboard that answers that."""

    def answer(request):
        if asked is not None:
            asked.append(request)
        return httpx.Response(status, json=document)

    return httpx.MockTransport(answer)


def test_serve_tells_its_replicas_by_state():
    """As Ray 2.60's REST API has them; the token goes along."""
    asked = []
    transport = answering(200, DETAILS, asked)
    (found,) = deployments("http://ray:8265/", "token", transport=transport)
    assert (found.wanted, found.there, found.replicas["STARTING"]) == (3, 3, 2)
    assert asked[0].headers["authorization"] == "Bearer token"
    assert asked[0].url == "http://ray:8265/api/serve/applications/"


@pytest.mark.parametrize(("status", "document"), [(401, {}), (200, {}), (200, [])])
def test_an_answer_that_is_none_is_silence(status, document):
    """Not to be taken for `no replicas`."""
    with pytest.raises(ServeSilent, match="api/serve/applications"):
        deployments("http://ray:8265", None, transport=answering(status, document))


ENVIRON = {
    "DARKROOM_RAYSERVICE": "darkroom/demo",
    "DARKROOM_BRIDGES": "bridge-demo bridge-demo-batch",
    "DARKROOM_QUEUE_URLS": "http://queue http://batch",
}


def test_the_settings_name_the_service_and_all_that_could_bring_it_work():
    """A queue for each bridge; the dashboard's address follows from the service."""
    settings = SleepSettings.from_env(ENVIRON)
    assert (settings.namespace, settings.service) == ("darkroom", "demo")
    assert settings.bridges == ("bridge-demo", "bridge-demo-batch")
    assert settings.queue_urls == ("http://queue", "http://batch")
    assert settings.dashboard_url == "http://demo-head-svc.darkroom:8265"


@pytest.mark.parametrize(
    "changed",
    [
        {"DARKROOM_RAYSERVICE": ""},
        {"DARKROOM_RAYSERVICE": "demo"},
        {"DARKROOM_BRIDGES": ""},
        {"DARKROOM_QUEUE_URLS": ""},
        {"DARKROOM_SLEEP_SAMPLES": "1"},
        {"DARKROOM_SLEEP_AFTER_S": "soon"},
    ],
)
def test_a_setting_that_is_wrong_is_named(changed):
    """Before anything is looked at."""
    with pytest.raises(BadSetting, match=next(iter(changed))):
        SleepSettings.from_env(ENVIRON | changed)
