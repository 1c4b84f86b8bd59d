"""Our own objects on the cluster: rendered here, applied by server."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.cluster.render import Rendering
from darkroom.cluster.snapshot import Snapshot
from darkroom.cluster.template import read_objects
from darkroom.deploy.cluster import BY_REMOVAL, MANAGER, PAUSED, Cluster
from darkroom.deploy.models import elsewhere
from darkroom.deploy.step import Standing
from darkroom.deploy.switchover import Switchover, rayservices, suspend
from darkroom.names import COMPONENT, EXPOSURE, NAMESPACE
from jobs.catalogue import Catalogue

#: By which a bridge knows which RayService to wake; only deep sleep's component sets it.
_WAKES = "DARKROOM_WAKE_RAYSERVICE"


@dataclass(frozen=True, kw_only=True)
class RenderedManifests:
    """The folder that is applied: nothing is open in it."""

    catalogue: Catalogue
    outputs: Path
    images: Path
    #: The snapshot that GPU nodes are to start from, if there is one.
    snapshot: Callable[[Images], Snapshot | None]
    overlay: str
    folder: Path
    #: Where the operators' images come from; None: from their makers.
    registry: str | None = None

    name = "manifests rendered"
    takes = "a second"

    def check(self) -> Standing:
        """Always to be done: to render is quicker than to compare."""
        return Standing(done=False)

    def apply(self) -> None:
        """Write the folder."""
        images = Images.from_file(self.images, digests_only=True)
        Rendering(
            catalogue=self.catalogue,
            installation=Installation.from_outputs(self.outputs),
            images=images,
            snapshot=self.snapshot(images),
            registry=self.registry,
            # What no image brings comes from the bucket, and so does all else then: it is mounted
            # in the place of what they bring.
            components=("models-volume",) if elsewhere(self.catalogue) else (),
        ).write(self.overlay, self.folder)

    def undo(self) -> None:
        """Nothing: a folder of this machine costs nothing."""


@dataclass(frozen=True, kw_only=True)
class AppliedManifests:
    """The rendered folder on the cluster, and its Ray ready."""

    cluster: Cluster
    folder: Path
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    name = "manifests applied"
    takes = "3 to 10 minutes: the first image on the system node"

    def check(self) -> Standing:
        """Whether an apply would change anything, Ray is ready or asleep, and bridges scale."""
        differs = any(
            self.cluster.kubectl("diff", *MANAGER, *each, expected=(0, 1)).strip()
            for each in self._parts()
        )
        services = rayservices(self.cluster)
        ready = bool(services) and all(each.settled or each.suspended for each in services.values())
        settled = not (self._paused(by_removal=True) or self._shut() or self._sleepless())
        done = not differs and ready and settled
        return Standing(done=done, says=self._still_paused() if done else "")

    def apply(self) -> None:
        """Apply, and wait for RayServices that are awake. A conflict is an edit: not forced."""
        for each in self._parts():
            self.cluster.kubectl("apply", *MANAGER, *each)
        if shut := self._shut():
            self.cluster.kubectl("delete", "-n", NAMESPACE, "--ignore-not-found", *shut)
        if begun := self._paused(by_removal=True):
            # By a removal that was begun and not ended.
            self.cluster.kubectl(
                "annotate", "scaledobjects", *begun, "-n", NAMESPACE, f"{PAUSED}-", f"{BY_REMOVAL}-"
            )
            self.say(f"scales again, after a removal that was not ended: {', '.join(begun)}")
        # Before the wait, and before a smoke test that would wait in vain.
        if still := self._still_paused():
            self.say(still)
        self._stop_sleeping()
        services = rayservices(self.cluster)
        asleep = [name for name, each in services.items() if each.suspended]
        if asleep:
            self.say(f"asleep, and left so: {', '.join(asleep)}. The next job wakes it")
        if awake := [name for name in services if name not in asleep]:
            Switchover(cluster=self.cluster, say=self.say, sleep=self.sleep).wait(awake)

    def undo(self) -> None:
        """Nothing: `darkroom destroy` takes them away in an order of its own."""

    def _parts(self) -> list[tuple[str, str]]:
        """What no chart brings for its operator, and ours."""
        return [("-f", str(self.folder / "operators/disruption.yaml")), ("-k", str(self.folder))]

    def _sleepless(self) -> list[str]:
        """What sleeps, and who puts it to sleep, if no bridge of these manifests would wake it."""
        timers = [
            f"cronjob/{each['metadata']['name']}"
            for each in self.cluster.items("cronjobs", namespace=NAMESPACE)
            if each["metadata"].get("labels", {}).get(COMPONENT) == "deep-sleep"
        ]
        services = rayservices(self.cluster)
        asleep = [f"rayservice/{name}" for name, each in services.items() if each.suspended]
        found = timers + asleep
        return found if found and _WAKES not in self._built() else []

    def _built(self) -> str:
        return self.cluster.kubectl("kustomize", str(self.folder), private=True)

    def _stop_sleeping(self) -> None:
        """Deep sleep is over where it was left out: its jobs would wait for ever."""
        for each in self._sleepless():
            kind, _, name = each.partition("/")
            if kind == "cronjob":
                self.cluster.kubectl("delete", "-n", NAMESPACE, "--ignore-not-found", each)
                self.say(
                    f"{name} is deleted: these manifests are without deep sleep. To keep that, "
                    "name ../../components/deep-sleep in manifests/overlays/*/kustomization.yaml"
                )
            else:
                suspend(self.cluster, name, wanted=False)
                self.say(f"{name} slept, and is woken: no bridge of these manifests would do it")

    def _shut(self) -> list[str]:
        """Ways in of a load balancer that is gone, or is another: an apply leaves what it lacks."""
        folder = self.folder / "components/exposed/generated"
        wanted = {
            (each["kind"], each["metadata"]["name"], each["metadata"]["labels"][EXPOSURE])
            for path in sorted(folder.glob("*.yaml"))
            for each in read_objects(path)
        }
        found = [
            (each["kind"], each["metadata"]["name"], mode)
            for kind in ("services", "networkpolicies")
            for each in self.cluster.items(kind, namespace=NAMESPACE)
            if (mode := each["metadata"].get("labels", {}).get(EXPOSURE))
        ]
        return [
            f"{kind.lower()}/{name}"
            for kind, name, mode in found
            if (kind, name, mode) not in wanted
        ]

    def _paused(self, *, by_removal: bool) -> list[str]:
        """ScaledObjects that KEDA leaves alone: paused by a removal, or by a person."""
        return [
            each["metadata"]["name"]
            for each in self.cluster.items("scaledobjects", namespace=NAMESPACE)
            if PAUSED in (marks := each["metadata"].get("annotations", {}))
            and (BY_REMOVAL in marks) is by_removal
        ]

    def _still_paused(self) -> str:
        """Of what a person has paused: that it stays so, and how to change that."""
        names = " ".join(self._paused(by_removal=False))
        return names and (
            f"paused by somebody, and left so: {names}. Their jobs wait. To let KEDA scale: "
            f"kubectl annotate scaledobjects -n {NAMESPACE} {names} {PAUSED}-"
        )
