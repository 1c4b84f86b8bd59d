"""`python -m darkroom.cluster.validate`: every overlay, rendered and checked, without a cluster."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from darkroom.cluster import (
    builtin,
    network_rules,
    node_rules,
    pod_rules,
    ray_rules,
    serve_config,
    system_rules,
)
from darkroom.cluster.crds import Definitions, crd_dir
from darkroom.cluster.errors import CannotValidate, ManifestsError
from darkroom.cluster.exposed import stand_in
from darkroom.cluster.finding import Finding
from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.cluster.render import COMPONENTS, SOURCE, Rendering
from darkroom.cluster.snapshot import Snapshot
from darkroom.names import EXPOSURES, OVERLAYS
from jobs.catalogue import Catalogue

RULES = (
    *pod_rules.RULES,
    *node_rules.RULES,
    *ray_rules.RULES,
    *system_rules.RULES,
    *network_rules.RULES,
)
#: The Prometheus operator's: an optional component's, whose definitions are not pinned here.
_UNCHECKED = frozenset({"monitoring.coreos.com/v1"})


def built(folder: Path) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k` would send."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise CannotValidate("kubectl is missing; it has Kustomize in it")
    done = subprocess.run(  # noqa: S603  # no shell, and a path of ours
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotValidate(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def validate(manifests: Sequence[Mapping[str, Any]], definitions: Definitions) -> list[Finding]:
    """All faults, by schemas, CEL and our own rules."""
    found = chain(schema_faults(manifests, definitions), *(rule(manifests) for rule in RULES))
    return sorted(set(found))


def schema_faults(
    manifests: Sequence[Mapping[str, Any]], definitions: Definitions
) -> Iterator[Finding]:
    """What an API server would refuse."""
    for manifest in manifests:
        yield from serve_config.check(manifest)
        if manifest in definitions:
            yield from definitions.check(manifest)
        elif manifest["apiVersion"] not in _UNCHECKED:
            yield from builtin.check(manifest)


def variants() -> Iterator[tuple[str, str, Rendering]]:
    """(name, overlay, rendering): each overlay bare, and with all that can be put beside it."""
    catalogue = Catalogue.from_yaml((SOURCE.parent / "runtimes.yaml").read_text("utf-8"))
    bare = Rendering(
        catalogue=catalogue,
        installation=Installation.stand_in(catalogue),
        images=Images.stand_ins(),
    )
    full = replace(bare, snapshot=Snapshot(id="snap-0123456789abcdef0", size_gib=40))
    for overlay in OVERLAYS:
        yield overlay, overlay, bare
        yield f"{overlay} with everything", overlay, replace(full, components=COMPONENTS)
        for mode in EXPOSURES[1:]:
            shown = stand_in(mode, next(iter(catalogue.runtimes)))
            installation = replace(bare.installation, exposure=shown)
            yield f"{overlay}, {mode}", overlay, replace(bare, installation=installation)


def main() -> int:
    """The process's exit status: 1 for a fault, 2 if nothing could be checked."""
    faults = 0
    try:
        definitions = Definitions(crd_dir())
        for name, overlay, rendering in variants():
            with tempfile.TemporaryDirectory() as folder:
                manifests = built(rendering.write(overlay, Path(folder) / "manifests"))
            found = validate(manifests, definitions)
            faults += len(found)
            sys.stdout.write(f"{name}: {len(manifests)} objects, {len(found)} faults\n")
            sys.stdout.writelines(f"  {each}\n" for each in found)
    except ManifestsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
