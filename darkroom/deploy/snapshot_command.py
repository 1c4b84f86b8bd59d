"""`darkroom snapshot build|list|prune`."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from darkroom.cluster.images import Images
from darkroom.deploy.cluster import Cluster, write_kubeconfig
from darkroom.deploy.content import Content
from darkroom.deploy.daemons import Daemons
from darkroom.deploy.errors import DeployError, NotReady
from darkroom.deploy.program import Programs
from darkroom.deploy.snapshot_build import SnapshotBuilder, bottlerocket_version
from darkroom.deploy.snapshot_step import contents_of, kubernetes_version
from darkroom.deploy.snapshots import Kept, delete, in_use, listed, superfluous
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
    why = f"EKS knows no cluster {wanted.name} in {wanted.region} that answers yet"
    try:
        if (cluster := _cluster(wanted)) is not None:
            return Daemons(cluster=cluster, say=_say).contents()
    except (DeployError, RecordsError) as error:
        why = str(error)
    _say(
        f"{why}\nOnly our own images go into the snapshot: GPU nodes pull those of the DaemonSets "
        "(network, kube-proxy, ...) at each start. With the cluster in reach, run this again"
    )
    return []


def _cluster(wanted: Wanted) -> Cluster | None:
    eks = connect("eks", region_name=wanted.region)
    if not write_kubeconfig(eks, wanted.name, wanted.region, wanted.kubeconfig):
        return None
    return Cluster(programs=Programs(), kubeconfig=wanted.kubeconfig)


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
    used: Annotated[
        list[str] | None, typer.Option(help="id of one that stays; needs no cluster that answers")
    ] = None,
    as_json: Json = False,
) -> None:
    """Delete older snapshots, and those that were never finished; never one that is in use."""
    ec2 = connect("ec2", region_name=region)
    stay = _used(Wanted(name=name, region=region), used or ())
    gone = delete(ec2, superfluous(listed(ec2, name), keep=keep, used=stay))
    emit({"deleted": gone}, as_json=as_json, otherwise="\n".join(gone))


def _used(wanted: Wanted, told: Collection[str]) -> set[str]:
    """What the cluster's nodes start from, and what a person has told.

    Only the cluster knows: what a `deploy` wrote down is another one as soon as it was killed
    between that and its apply, or somebody has applied a rendered folder by hand.
    """
    try:
        cluster = _cluster(wanted)
        found = in_use(cluster) if cluster else set()
    except (DeployError, RecordsError) as error:
        if not told:
            raise NotReady(
                f"{error}\nSo nobody says which snapshot GPU nodes start from, and nothing was "
                "deleted. With the cluster in reach, run this again; or say --used ID, as "
                "`kubectl get ec2nodeclasses gpu -o yaml` has it"
            ) from error
        _say(f"{error}\nOnly what --used names is taken for in use")
        return set(told)
    if found:
        _say(f"in use, and kept: {', '.join(sorted(found))}")
    return found | set(told)


def _described(each: Kept) -> str:
    images = ", ".join(f"{name} {digest[7:19]}" for name, digest in each.images.items())
    if images and each.daemons:
        images += f", {len(each.daemons)} of DaemonSets"
    return (
        f"{each.made:%Y-%m-%d %H:%M}  {each.size_gib} GiB  {each.state}  {images or 'unfinished'}"
    )
