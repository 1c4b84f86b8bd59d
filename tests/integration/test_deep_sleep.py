"""Deep sleep on a real API server: who wins when two write at once, and that nothing is lost.

Real here: the RayService and the ScaledObject, our sleeper, the bridge's waking. Told: the core of
Kubernetes (that server has none), Serve's dashboard, and KubeRay itself, played by the tests.
"""

import asyncio
import ssl
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from kubernetes import client

from bridge.errors import ClusterUnavailable
from bridge.rayservice import AWAKE_AT, RayService
from bridge.wake import keep_awake
from darkroom.kuberay import SERVICES, KubeRay
from darkroom.names import NAMESPACE, bridges_of
from darkroom.serve_state import Deployment
from darkroom.sleep import Cluster, SleepSettings
from darkroom.sleeper import Sleeper, Verdict
from darkroom.workloads import Workloads
from records.memory import MemoryQueue
from tests.integration.test_kuberay import condition, say, service

REFUSED = Verdict(asleep=False, reason="somebody wrote to it meanwhile")
IDLE = [
    Deployment(app="demo", name="generator", status="HEALTHY", message="", wanted=0, replicas={})
]


@pytest.fixture
def name(api):
    """A RayService of this test's own that serves, with its ScaledObject."""
    name = f"demo-{uuid.uuid4().hex[:8]}"
    KubeRay(api, NAMESPACE).apply(SERVICES, service(name))
    awake(api, name)
    objects = client.CustomObjectsApi(api)
    keda = ("keda.sh", "v1alpha1", NAMESPACE, "scaledobjects")
    for bridge in bridges_of(name):
        scaled = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": bridge},
            "spec": {
                "scaleTargetRef": {"name": bridge},
                "triggers": [{"type": "aws-sqs-queue", "metadata": {"queueURL": "http://queue"}}],
            },
        }
        objects.create_namespaced_custom_object(*keda, scaled)
    # The other one has never seen any.
    seen = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    objects.patch_namespaced_custom_object_status(
        *keda, bridges_of(name)[0], {"status": {"lastActiveTime": seen}}
    )
    return name


def awake(api, name):
    """KubeRay: it serves, as of its newest spec."""
    generation = KubeRay(api, NAMESPACE).service(name).generation
    conditions = [
        condition("Ready", generation=generation),
        condition("Suspended", value="False", generation=generation),
    ]
    say(api, SERVICES, name, conditions=conditions)


def asleep(api, name, word="Suspended"):
    """KubeRay: everything is deleted, or is being (`Suspending`)."""
    generation = KubeRay(api, NAMESPACE).service(name).generation
    conditions = [
        condition("Ready", value="False", generation=generation),
        condition(word, generation=generation),
    ]
    say(api, SERVICES, name, conditions=conditions)


@dataclass(frozen=True, kw_only=True)
class Surroundings(Cluster):
    """The real ones, but for the core of Kubernetes and Serve."""

    #: Bridges wanted, and what happens once, at which question.
    told: dict

    def bridges(self):
        return self._then("bridges", self.told["wanted"])

    def deployments(self):
        return self._then("deployments", IDLE)

    def gpu_workers(self):
        return self._then("workers", 0)

    def _then(self, where, answer):
        if where == self.told["at"] and (happens := self.told.pop("meanwhile", None)):
            happens()
        return answer


@pytest.fixture
def around(api, name):
    """The surroundings of that RayService, with a queue in memory."""
    settings = SleepSettings.from_env(
        {
            "DARKROOM_RAYSERVICE": f"{NAMESPACE}/{name}",
            "DARKROOM_BRIDGES": " ".join(bridges_of(name)),
            "DARKROOM_QUEUE_URLS": "http://queue http://batch",
        }
    )
    return Surroundings(
        settings=settings,
        kuberay=KubeRay(api, NAMESPACE),
        workloads=Workloads(api, NAMESPACE),
        queues=[MemoryQueue(), MemoryQueue()],
        told={"wanted": 0, "at": "bridges"},
    )


def sleeper(around, pause=lambda _: None):
    """Three looks without waiting."""
    return Sleeper(around=around, samples=3, over_s=90, idle=timedelta(minutes=30), pause=pause)


def pausing(around, look, happens):
    """The pauses between looks; in look number `look`, the second or a later one, `happens`."""
    pauses = []

    def pause(_):
        pauses.append(1)
        if len(pauses) == look - 1:
            around.told["meanwhile"] = happens

    return pause


def bridges_service(api, name):
    """The RayService as a bridge has it, with this server's certificates."""
    loaded = api.configuration
    trusted = ssl.create_default_context(cafile=loaded.ssl_ca_cert)
    trusted.load_cert_chain(loaded.cert_file, loaded.key_file)
    http = httpx.AsyncClient(base_url=loaded.host, verify=trusted, trust_env=False)
    return RayService(http, NAMESPACE, name)


def in_bridge(api, name, run):
    """What a bridge does with its RayService."""

    async def once():
        found = bridges_service(api, name)
        try:
            return await run(found)
        finally:
            await found.aclose()

    return asyncio.run(once())


def wake(api, name):
    """A bridge comes up."""
    in_bridge(api, name, lambda found: found.wake())


def suspended(api, name):
    """What the RayService's spec says now."""
    return KubeRay(api, NAMESPACE).service(name).suspended


def test_an_idle_service_is_put_to_sleep_and_a_bridge_wakes_it(api, name, around):
    """All the way: asleep, a message, a bridge, awake."""
    assert sleeper(around).run().asleep
    assert suspended(api, name)
    asleep(api, name)
    assert in_bridge(api, name, lambda found: found.asleep())
    wake(api, name)
    assert not suspended(api, name)


@pytest.mark.parametrize("at", ["bridges", "deployments", "workers"])
def test_a_bridge_that_comes_up_while_the_sleeper_looks_wins(api, name, around, at):
    """Wherever it happens in the last look: the write is refused, 409."""
    around.told["at"] = at
    verdict = sleeper(around, pausing(around, 3, lambda: wake(api, name))).run()
    assert verdict == REFUSED
    assert not suspended(api, name)


def test_a_bridge_that_wrote_before_the_look_is_seen_by_its_deployment(api, name, around):
    """KEDA scales first, the bridge writes after: one of the two is always seen."""

    def pause(_):
        around.told["wanted"] = 1
        wake(api, name)
        awake(api, name)

    assert sleeper(around, pause).run().reason == "bridges wanted: 1"
    assert not suspended(api, name)


def test_a_message_that_comes_right_after_the_suspension_costs_time_only(api, name, around):
    """KubeRay is still deleting: the wish is stored, and the bridge goes on until it is done."""
    assert sleeper(around).run().asleep
    asleep(api, name, "Suspending")
    wake(api, name)
    assert not suspended(api, name)
    # Still being deleted: the bridge sees that as sleep, and writes again at its next look.
    assert in_bridge(api, name, lambda found: found.asleep())
    awake(api, name)
    assert not in_bridge(api, name, lambda found: found.asleep())


def test_a_sleeper_does_not_touch_what_is_coming_up(api, name, around):
    """Woken a moment ago, not ready yet: its bridge may have been scaled away again."""
    sleeper(around).run()
    wake(api, name)
    assert sleeper(around).run().reason.startswith("it is not ready")
    assert not suspended(api, name)


@pytest.mark.parametrize(
    ("look", "verdict"),
    [(2, Verdict(asleep=True, reason="it sleeps already")), (3, REFUSED)],
    ids=["before the last look", "within it"],
)
def test_two_sleepers_at_once_do_no_harm(api, name, around, look, verdict):
    """Who is second finds that it sleeps, or is refused: it writes nothing."""
    around.told["at"] = "workers"
    first = []

    def other():
        first.append(around.kuberay.suspend(around.service()).version)

    assert sleeper(around, pausing(around, look, other)).run() == verdict
    assert suspended(api, name)
    assert [around.service().version] == first


@pytest.mark.parametrize("queue", [0, 1])
def test_keda_has_seen_messages_a_moment_ago(api, name, around, queue):
    """The time is KEDA's own, in the ScaledObject's status; a batch job counts like any other."""
    bridge = bridges_of(name)[queue]
    seen = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    client.CustomObjectsApi(api).patch_namespaced_custom_object_status(
        "keda.sh",
        "v1alpha1",
        NAMESPACE,
        "scaledobjects",
        bridge,
        {"status": {"lastActiveTime": seen}},
    )
    assert sleeper(around).run().reason.startswith("messages were there")


def test_applying_the_manifests_while_it_sleeps_or_wakes_changes_nothing(api, name, around):
    """Neither `suspend` nor the bridge's note belongs to them."""
    sleeper(around).run()
    kuberay = KubeRay(api, NAMESPACE)
    assert kuberay.apply(SERVICES, service(name)).suspended
    wake(api, name)
    applied = kuberay.apply(SERVICES, service(name))
    assert not applied.suspended
    assert AWAKE_AT in applied.document["metadata"]["annotations"]


def test_a_service_that_is_suspended_behind_a_bridge_comes_back(api, name):
    """Somebody does it by hand; the bridge that is there looks again and again."""

    async def run(found):
        stop = asyncio.Event()
        keeping = asyncio.create_task(keep_awake(found, stop, look_s=0.05, again_s=0.05))
        kuberay = KubeRay(api, NAMESPACE)
        while AWAKE_AT not in kuberay.service(name).document["metadata"].get("annotations", {}):
            await asyncio.sleep(0.05)
        kuberay.suspend(kuberay.service(name))
        while kuberay.service(name).suspended:
            await asyncio.sleep(0.05)
        stop.set()
        await keeping

    in_bridge(api, name, run)
    assert not suspended(api, name)


def test_what_is_not_there_is_an_error_of_the_bridges_own(api):
    """404, 403 and no connection alike: it tries again."""
    with pytest.raises(ClusterUnavailable, match="rayservices/nobody"):
        wake(api, "nobody")
