"""An installation that sleeps is deployed to: nothing waits for what nobody has asked to wake."""

import shutil

import pytest

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.manifests import AppliedManifests
from darkroom.deploy.program import Programs
from darkroom.names import COMPONENT
from tests.rendered import rendering


def service(name, *, suspend=False):
    """A RayService as KubeRay 1.7 shows it: one that sleeps is not Ready."""
    ready = {"type": "Ready", "status": "False" if suspend else "True"}
    spec = {"suspend": True} if suspend else {}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [ready]}}


class Kubectl:
    """A cluster with some RayServices; manifests are built by the real kubectl."""

    def __init__(self, kubeconfig, *services, timers=()):
        self.services = {each["metadata"]["name"]: each for each in services}
        self.timers = list(timers)
        self.real = Cluster(programs=Programs(), kubeconfig=kubeconfig)

    def kubectl(self, verb, *words, **named):
        match verb:
            case "kustomize":
                return self.real.kubectl(verb, *words, **named)
            case "patch":
                [name] = [word.rpartition("/")[2] for word in words if "rayservice/" in word]
                self.services[name] = service(name)
            case "delete":
                gone = [word.rpartition("/")[2] for word in words if "cronjob/" in word]
                self.timers = [name for name in self.timers if name not in gone]
        return ""

    def items(self, kind, **_):
        if kind == "rayservices":
            return list(self.services.values())
        if kind == "cronjobs":
            sweeper = {"metadata": {"name": "sweeper", "labels": {COMPONENT: "sweeper"}}}
            return [sweeper] + [
                {"metadata": {"name": name, "labels": {COMPONENT: "deep-sleep"}}}
                for name in self.timers
            ]
        return []


@pytest.fixture
def step(tmp_path):
    """The step with a cluster, and with manifests that have deep sleep or not."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl: it is not on this machine")

    def made(*services, deep_sleep, timers=()):
        components = ["deep-sleep"] if deep_sleep else []
        folder = rendering(components=components).write("dev", tmp_path / "manifests")
        said = []
        kubectl = Kubectl(tmp_path / "kubeconfig", *services, timers=timers)
        step = AppliedManifests(
            cluster=kubectl, folder=folder, say=said.append, sleep=lambda _: pytest.fail("it waits")
        )
        return step, kubectl, said

    return made


def test_what_sleeps_is_not_waited_for(step):
    """It is not Ready until a job comes; the smoke test's is one."""
    manifests, kubectl, said = step(
        service("demo", suspend=True),
        service("painter"),
        deep_sleep=True,
        timers=["deep-sleep-demo"],
    )
    manifests.apply()
    assert said == ["asleep, and left so: demo. The next job wakes it"]
    assert kubectl.timers == ["deep-sleep-demo"]
    assert manifests.check().done


def test_what_no_bridge_would_wake_is_woken_and_not_put_to_sleep_again(step):
    """Deep sleep was rendered by hand and these manifests are without: jobs would wait for ever."""
    manifests, kubectl, said = step(
        service("demo", suspend=True), deep_sleep=False, timers=["deep-sleep-demo"]
    )
    assert not manifests.check().done
    manifests.apply()
    assert kubectl.timers == []
    assert not kubectl.services["demo"]["spec"]
    assert "deep-sleep-demo is deleted" in said[0]
    assert "components/deep-sleep" in said[0]
    assert "demo slept, and is woken" in said[1]
    assert manifests.check().done
