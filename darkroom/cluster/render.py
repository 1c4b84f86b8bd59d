"""From `manifests/` to a folder that `kubectl apply -k` takes: nothing is left open in it."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from darkroom.cluster import network
from darkroom.cluster.errors import NotRenderable
from darkroom.cluster.exposed import Exposed
from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.cluster.runtime import RuntimeValues, catalogue_map, variables
from darkroom.cluster.snapshot import SNAPSHOT_GIB, Snapshot
from darkroom.cluster.template import filled, read_objects, written
from darkroom.names import NAMESPACE, OURS, OVERLAYS, bridges_of
from jobs.catalogue import Catalogue

SOURCE = Path(__file__).resolve().parents[2] / "manifests"
COMPONENTS = ("deep-sleep", "models-volume", "monitors")
#: Of a GPU node's volume for images and pods: 12 GB of image, unpacked, and room for Ray.
_VOLUME_GIB = 60
#: MiB/s at which a volume is filled from its snapshot; the most that EBS sells.
_FILL_RATE = 300
_HOMES = {
    "kuberay": ("quay.io", "kuberay/operator"),
    "keda": ("ghcr.io", ""),
    "karpenter": ("public.ecr.aws", "karpenter/controller"),
}
#: What Kubernetes's "restricted" asks for, and a root that nobody can write to.
_SECURITY = {
    "pod": {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "container": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
}


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """Everything that the manifests of one installation follow from."""

    catalogue: Catalogue
    installation: Installation
    images: Images
    snapshot: Snapshot | None = None
    #: Where the operators' images come from; None: from their makers.
    registry: str | None = None
    #: The only addresses that count as AWS, where they are known.
    aws_cidrs: Sequence[str] = ()
    #: Put beside the overlay's own.
    components: Sequence[str] = ()

    def write(self, overlay: str, to: Path, *, source: Path = SOURCE) -> Path:
        """Write the tree, in the place of what was there; the folder to apply."""
        if overlay not in OVERLAYS:
            raise NotRenderable(f"there is no overlay {overlay}; there are {', '.join(OVERLAYS)}")
        unknown = set(self.components) - set(COMPONENTS)
        if unknown:
            raise NotRenderable(f"there is no component {', '.join(sorted(unknown))}")
        if to.exists() and not (to / ".rendered").exists():
            raise NotRenderable(f"{to} is not ours to replace: nothing was rendered there before")
        choice = self._choice(overlay, source)
        shutil.rmtree(to, ignore_errors=True)
        values = self._values()
        for path in sorted(source.rglob("*.yaml")):
            inside = path.relative_to(source)
            if inside.parts[0] != "runtime" and (self._exposed or "exposed" not in inside.parts):
                _write(to / inside, filled(path, values))
        for name, objects in self._generated(source / "runtime", values):
            _write(to / name, objects)
        _write(to / "kustomization.yaml", [choice])
        (to / ".rendered").touch()
        return to

    def _choice(self, overlay: str, source: Path) -> dict[str, Any]:
        [own] = read_objects(source / "overlays" / overlay / "kustomization.yaml")
        there = {Path(each).name for each in own.get("components", ())}
        if self._exposed and "deep-sleep" in {*there, *self.components}:
            raise NotRenderable(
                "deep sleep deletes the Services that a load balancer leads to: render without "
                f"--with deep-sleep and without it in manifests/overlays/{overlay}, or take the "
                "load balancer away by `darkroom deploy --expose none`"
            )
        # Twice would be refused by Kustomize.
        components = [f"components/{name}" for name in self.components if name not in there]
        if self._exposed:
            components.append("components/exposed")
        return {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"overlays/{overlay}"],
        } | ({"components": components} if components else {})

    @property
    def _exposed(self) -> Exposed | None:
        return self.installation.exposure

    def _values(self) -> dict[str, Any]:
        installation, region = self.installation, self.installation.region
        process = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "DARKROOM_LOG": "json"}
        config = installation.config("webhooks")
        called = {"DARKROOM_JOB_TABLE", "DARKROOM_BUCKET", "DARKROOM_WEBHOOKS_QUEUE_URL"}
        worker = {name: value for name, value in config.items() if name in called}
        return {
            "installation": vars(installation),
            "api_url": installation.api_url,
            "images": {
                name.replace("-", "_"): image for name, image in self.images.by_name.items()
            },
            "security": _SECURITY,
            "names": {
                "runtimes": list(self.catalogue.runtimes),
                "bridges": list(chain.from_iterable(map(bridges_of, self.catalogue.runtimes))),
            },
            "runtimes_map": catalogue_map(self.catalogue)[0],
            "sweeper": {"env": variables(config | process)},
            "webhook_worker": {"env": variables(worker | process)},
            "volume": self._volume(),
            "registry": {name: self._home(name) for name in _HOMES},
        }

    def _volume(self) -> dict[str, Any]:
        # A volume made of a snapshot is encrypted if that is; EC2 refuses to be told.
        if self.snapshot is None:
            bare = dict.fromkeys(("snapshot", "rate", "annotations"))
            return {"size": f"{_VOLUME_GIB}Gi", "encrypted": True, **bare}
        return {
            "annotations": {SNAPSHOT_GIB: str(self.snapshot.size_gib)},
            "size": f"{max(_VOLUME_GIB, self.snapshot.size_gib)}Gi",
            "encrypted": None,
            "snapshot": self.snapshot.id,
            "rate": _FILL_RATE,
        }

    def _home(self, operator: str) -> str:
        registry, repository = _HOMES[operator]
        return "/".join(filter(None, (self.registry or registry, repository)))

    def _generated(
        self, templates: Path, values: Mapping[str, Any]
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        running, sleeping = [self._catalogue_map()], []
        for name, runtime in self.catalogue.runtimes.items():
            own = RuntimeValues(
                name=name, runtime=runtime, installation=self.installation, images=self.images
            )
            running += filled(templates / "rayservice.yaml", {**values, **own.of_serve()})
            for queue in own.of_queues():
                running += filled(templates / "bridge.yaml", {**values, **queue})
            dead = {**values, **own.of_dead_letters()}
            running += filled(templates / "dead-letter-worker.yaml", dead)
            sleeping += filled(templates / "deep-sleep.yaml", {**values, **own.of_sleep()})
        yield "base/generated/runtimes.yaml", running
        aws = self._aws_cidrs()
        matrix = network.policies(network.MATRIX, aws_cidrs=aws)
        yield "base/generated/network.yaml", [network.deny_all(), *matrix]
        yield "components/deep-sleep/generated/deep-sleep.yaml", sleeping
        more = network.policies(network.DEEP_SLEEP, prefix="sleep-", aws_cidrs=aws)
        yield "components/deep-sleep/generated/network.yaml", more
        if self._exposed:
            services = self._exposed.services(templates / "exposed-service.yaml", values)
            yield "components/exposed/generated/services.yaml", services
            yield "components/exposed/generated/network.yaml", self._exposed.policies()

    def _aws_cidrs(self) -> Sequence[str]:
        """What was told, or everything public and what of the VPC may be AWS's."""
        private = self.installation.private_cidrs
        return self.aws_cidrs or ((network.EVERYWHERE, *private) if private else ())

    def _catalogue_map(self) -> dict[str, Any]:
        name, text = catalogue_map(self.catalogue)
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": OURS,
            },
            "immutable": True,
            "data": {"runtimes.yaml": text},
        }


def _write(path: Path, objects: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written(objects), "utf-8")
