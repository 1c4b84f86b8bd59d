"""`darkroom render`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.cluster.render import COMPONENTS, Rendering
from darkroom.cluster.snapshot import Snapshot, resolve
from darkroom.names import FIELD_MANAGER, OVERLAYS
from darkroom.output import Json, emit
from darkroom.screen import people
from jobs.catalogue import Catalogue
from records.connect import connect

#: As a snapshot's id: not even to look for one.
NO_SNAPSHOT = "none"


def render(
    overlay: Annotated[str, typer.Argument(help=" or ".join(OVERLAYS))],
    outputs: Annotated[Path, typer.Option(help="file with `terraform output -json`")],
    images: Annotated[Path, typer.Option(help="JSON file: name of the image -> reference")],
    snapshot: Annotated[
        str | None, typer.Option(help="id for GPU nodes; `none` to pull images instead")
    ] = None,
    component: Annotated[
        list[str] | None, typer.Option("--with", help=f"one of {', '.join(COMPONENTS)}")
    ] = None,
    registry: Annotated[str | None, typer.Option(help="of the operators' images")] = None,
    aws_cidr: Annotated[
        list[str] | None, typer.Option(help="AWS's addresses, if not all public ones")
    ] = None,
    runtimes: Annotated[Path, typer.Option(help="runtimes.yaml")] = Path("runtimes.yaml"),
    out: Annotated[Path, typer.Option(help="folder to write")] = Path("build/manifests"),
    as_json: Json = False,
) -> None:
    """Write what the cluster is to run, for `kubectl apply -k`."""
    installation = Installation.from_outputs(outputs)
    release = Images.from_file(images, digests_only=overlay == "prod")
    found = chosen_snapshot(
        lambda: connect("ec2", region_name=installation.region), snapshot, release
    )
    rendering = Rendering(
        catalogue=Catalogue.from_yaml(runtimes.read_text("utf-8")),
        installation=installation,
        images=release,
        snapshot=found,
        registry=registry,
        aws_cidrs=aws_cidr or (),
        components=component or (),
    )
    folder = rendering.write(overlay, out)
    command = f"kubectl apply --server-side --field-manager {FIELD_MANAGER} -k {folder}"
    document = {
        "folder": str(folder),
        "snapshot": found.id if found else None,
        "command": command,
    }
    emit(document, as_json=as_json, otherwise=command)


def chosen_snapshot(ec2: Callable[[], Any], wanted: str | None, images: Images) -> Snapshot | None:
    """The snapshot to start GPU nodes from; a person is told where there is none."""
    if wanted == NO_SNAPSHOT:
        return None
    found = resolve(ec2(), given=wanted, images=images.on_gpu_nodes())
    if found is None:
        people.print(
            "no snapshot has these images: each new GPU node will pull them, about a minute more. "
            "docs/operations.md says how to make one",
            markup=False,
        )
    return found
