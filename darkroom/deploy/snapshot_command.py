"""`darkroom snapshot build|list|prune`."""

from pathlib import Path
from typing import Annotated

import typer

from darkroom.cluster.images import Images
from darkroom.deploy.cluster import Cluster, write_kubeconfig
from darkroom.deploy.content import Content
from darkroom.deploy.daemons import Daemons
from darkroom.deploy.errors import DeployError
from darkroom.deploy.program import Programs
from darkroom.deploy.snapshot_build import SnapshotBuilder, bottlerocket_version
from darkroom.deploy.snapshot_step import contents_of, kubernetes_version
from darkroom.deploy.snapshots import Kept, delete, listed, superfluous
from darkroom.deploy.wanted import Wanted
from darkroom.output import Json, emit
from darkroom.screen import pairs_table, people
from records.connect import connect
from records.errors import RecordsError

snapshot_app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Option(help="name of the installation")]
Region = Annotated[str, typer.Option(help="AWS region")]


@snapshot_app.command(name="build")
def build(
    images: Annotated[Path, typer.Option(help="JSON file: name of the image -> by digest")],
    name: Name = "darkroom-dev",
    region: Region = "us-west-2",
    as_json: Json = False,
) -> None:
    """Make a snapshot that holds the GPU nodes' images, unless there is one.

    The DaemonSets' images are those of the cluster; without one only ours are in the snapshot.
    """
    release = Images.from_file(images, digests_only=True)
    builder = SnapshotBuilder(
        ec2=connect("ec2", region_name=region),
        ssm=connect("ssm", region_name=region),
        installation=name,
        kubernetes=kubernetes_version(),
        bottlerocket=bottlerocket_version(),
        say=_say,
    )
    ours = contents_of(release, connect("ecr", region_name=region))
    daemons = _daemons(Wanted(name=name, region=region))
    made = builder.build([*ours, *daemons])
    document = {
        "id": made.id,
        "size_gib": made.size_gib,
        "images": [each.image for each in (*ours, *daemons)],
    }
    emit(document, as_json=as_json, otherwise=made.id)


def _daemons(wanted: Wanted) -> list[Content]:
    """What the installation's cluster runs on GPU nodes; of none that answers, that is said."""
    cluster = Cluster(programs=Programs(), kubeconfig=wanted.kubeconfig)
    why = f"EKS knows no cluster {wanted.name} in {wanted.region} that answers yet"
    try:
        eks = connect("eks", region_name=wanted.region)
        if write_kubeconfig(eks, wanted.name, wanted.region, wanted.kubeconfig):
            return Daemons(cluster=cluster, say=_say).contents()
    except (DeployError, RecordsError) as error:
        why = str(error)
    _say(
        f"{why}\nOnly our own images go into the snapshot: GPU nodes pull those of the DaemonSets "
        "(network, kube-proxy, ...) at each start. With the cluster in reach, run this again"
    )
    return []


def _say(text: str) -> None:
    people.print(text, markup=False)


@snapshot_app.command(name="list")
def list_(name: Name = "darkroom-dev", region: Region = "us-west-2", as_json: Json = False) -> None:
    """All snapshots of an installation, newest first."""
    found = listed(connect("ec2", region_name=region), name)
    if not as_json:
        people.print(pairs_table([(each.id, _described(each)) for each in found]))
    document = [vars(each) | {"made": each.made.isoformat()} for each in found]
    emit(document, as_json=as_json, otherwise="")


@snapshot_app.command(name="prune")
def prune(
    name: Name = "darkroom-dev",
    region: Region = "us-west-2",
    keep: Annotated[int, typer.Option(min=1, help="how many of the newest stay")] = 2,
    used: Annotated[list[str] | None, typer.Option(help="id of one that stays in any case")] = None,
    as_json: Json = False,
) -> None:
    """Delete older snapshots, and those that were never finished."""
    ec2 = connect("ec2", region_name=region)
    going = superfluous(listed(ec2, name), keep=keep, used=used or ())
    gone = delete(ec2, going)
    emit({"deleted": gone}, as_json=as_json, otherwise="\n".join(gone))


def _described(each: Kept) -> str:
    images = ", ".join(f"{name} {digest[7:19]}" for name, digest in each.images.items())
    if images and each.daemons:
        images += f", {len(each.daemons)} of DaemonSets"
    return (
        f"{each.made:%Y-%m-%d %H:%M}  {each.size_gib} GiB  {each.state}  {images or 'unfinished'}"
    )
