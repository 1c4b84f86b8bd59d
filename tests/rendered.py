"""What the tests of the manifests share: an installation with two runtimes, rendered and built."""

import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from darkroom.cluster.crds import Definitions, crd_dir
from darkroom.cluster.errors import CannotValidate
from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.cluster.render import Rendering
from darkroom.cluster.snapshot import Snapshot
from darkroom.cluster.validate import built
from jobs.catalogue import Catalogue

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = Snapshot(id="snap-0123456789abcdef0", size_gib=40)


def two_runtimes() -> Catalogue:
    """The committed one and, by one entry more, one on GPUs."""
    entries = yaml.safe_load((ROOT / "runtimes.yaml").read_text("utf-8"))
    demo = entries["runtimes"]["demo"]
    entries["runtimes"]["painter"] = demo | {
        "replicas": {"max": 8, "admit_window": 4, "num_cpus": 2, "num_gpus": 1},
        "bridges": {"max": 3, "cooldown_s": 420},
    }
    return Catalogue.model_validate(entries)


def rendering(**changed) -> Rendering:
    """How the manifests of the installation of these tests are rendered."""
    catalogue = changed.pop("catalogue", None) or two_runtimes()
    return replace(
        Rendering(
            catalogue=catalogue,
            installation=Installation.stand_in(catalogue),
            images=Images.stand_ins(),
            snapshot=SNAPSHOT,
        ),
        **changed,
    )


class Manifests:
    """All objects of a rendering, to look things up and to plant faults in a copy."""

    def __init__(self, objects):
        self.objects = objects

    def __iter__(self):
        return iter(self.objects)

    def one(self, kind, name):
        """The object of that kind and name."""
        return next(
            each
            for each in self.objects
            if each["kind"] == kind and each["metadata"]["name"] == name
        )

    def of_kind(self, kind):
        """All objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def copy(self):
        """One to spoil."""
        return Manifests(deepcopy(self.objects))


def build(tmp_path, overlay="dev", **changed) -> Manifests:
    """What `kubectl apply -k` would send; the test is skipped where there is no kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl: it is not on this machine, and Kustomize is in it")
    return Manifests(built(rendering(**changed).write(overlay, tmp_path / "manifests")))


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Manifests:
    """Everything that can be on, at once: two runtimes, a snapshot, all components."""
    folder = tmp_path_factory.mktemp("whole")
    return build(folder, components=("deep-sleep", "models-volume", "monitors"))


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    """The custom resource definitions, read once."""
    try:
        return Definitions(crd_dir())
    except CannotValidate as missing:
        pytest.skip(f"shared: {missing}")
