"""`darkroom deploy`, `destroy` and `open`."""

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from darkroom.deploy.access import TARGETS, forwarded, forwarding
from darkroom.deploy.account import NOBODY, identify
from darkroom.deploy.dry_run import Rehearsal, compare, emulated, rehearse
from darkroom.deploy.endpoint import own_network
from darkroom.deploy.errors import DeployError, ProgramFailed, Unfit
from darkroom.deploy.exposure import UI_PASSWORD, UI_USER
from darkroom.deploy.farewell import half_way
from darkroom.deploy.journal import Journal
from darkroom.deploy.lambda_package import build_package
from darkroom.deploy.leftovers import carrying
from darkroom.deploy.options import USUAL, Options
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.removal import as_deployed, removal
from darkroom.deploy.request import requested
from darkroom.deploy.runner import run
from darkroom.deploy.wanted import ROOT, Wanted
from darkroom.names import EXPOSURES, OVERLAYS
from darkroom.output import Json, emit
from darkroom.screen import people
from jobs.catalogue import Catalogue
from records.connect import connect
from records.errors import ObjectMissing, RecordsError

Name = Annotated[str, typer.Option(help="name of the installation")]
Region = Annotated[str, typer.Option(help="AWS region")]
AdminCidr = Annotated[
    list[str] | None, typer.Option(help="who reaches the cluster; default: this address")
]
Boundary = Annotated[str | None, typer.Option(help="ARN of the policy that bounds all roles")]
Unlock = Annotated[
    str | None, typer.Option(help="id of a lock of Terraform's state that nobody holds any more")
]
AllowDestroy = Annotated[
    bool, typer.Option("--allow-destroy", help="VPC, cluster, nodes, buckets and tables may go")
]


def _usual(option: str, said: Sequence[str]) -> str:
    """What an option may be, and what holds until it is given."""
    return f"{', '.join(said)}; at first {USUAL[option][0]}"


def deploy(
    name: Name = "darkroom-dev",
    region: Region = "us-west-2",
    overlay: Annotated[str | None, typer.Option(help=_usual("overlay", OVERLAYS))] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done and cost; change nothing")
    ] = False,
    bucket: Annotated[str | None, typer.Option(help="bucket of models that is there")] = None,
    snapshot: Annotated[str | None, typer.Option(help="snapshot for GPU nodes")] = None,
    build_snapshot: Annotated[bool, typer.Option("--build-snapshot", help="make one")] = False,
    runtime: Annotated[
        str | None, typer.Option(help=_usual("runtime", ["of runtimes.yaml, for the smoke test"]))
    ] = None,
    registry: Annotated[str | None, typer.Option(help="of the operators' images")] = None,
    existing_vpc: Annotated[str | None, typer.Option(help="id of a VPC to use")] = None,
    expose: Annotated[str | None, typer.Option(help=_usual("expose", EXPOSURES))] = None,
    hostname: Annotated[str | None, typer.Option(help="of the load balancer, for HTTPS")] = None,
    zone: Annotated[str | None, typer.Option(help="Route 53 zone of the hostname")] = None,
    expose_cidr: Annotated[list[str] | None, typer.Option(help="who may come there")] = None,
    admin_cidr: AdminCidr = None,
    images: Annotated[
        Path | None, typer.Option(help="JSON file of images that are pushed already")
    ] = None,
    permissions_boundary: Boundary = None,
    unlock: Unlock = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="take over what a killed Terraform had made")
    ] = False,
    allow_destroy: AllowDestroy = False,
    as_json: Json = False,
) -> None:
    """From credentials to a working endpoint; run again, it goes on from where it is."""
    wanted = Wanted(
        name=name, region=region, snapshot=snapshot, build_snapshot=build_snapshot, images=images
    )
    given = Options.given(
        overlay=overlay, bucket=bucket, runtime=runtime, registry=registry, expose=expose,
        existing_vpc=existing_vpc, hostname=hostname, zone=zone, expose_cidr=expose_cidr,
        admin_cidr=admin_cidr, permissions_boundary=permissions_boundary,
    )  # fmt: skip
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text("utf-8"))
    deployment = requested(_deployment(wanted, catalogue, optional=dry_run), given)
    deployment = replace(deployment, unlock=unlock, adopt=adopt, allow_destroy=allow_destroy)
    (_rehearse if dry_run else _deploy)(deployment, as_json=as_json)


def _deploy(deployment: Deployment, *, as_json: bool) -> None:
    deployment = _from_here(deployment)
    wanted, journal = deployment.wanted, deployment.journal
    account, name, region = deployment.account, wanted.name, wanted.region
    journal.say(f"{name} in account {account.id}, {region}, as {account.arn}")
    run(deployment.deploy(), journal, again=wanted.command("deploy"))
    url = deployment.installation.api_url
    journal.say(f"The API is at {url}; its first key: {_secret_command(name, region, 'first-key')}")
    exposure = deployment.installation.exposure
    urls = dict(exposure.urls) if exposure else {}
    for what, address in urls.items():
        journal.say(f"{what}: {address}")
    if urls:
        journal.say(
            f"The page's user is {UI_USER}; its password: "
            f"{_secret_command(name, region, UI_PASSWORD)}"
        )
    document = {"api_url": url, "name": name, "region": region, "exposed": urls}
    emit(document, as_json=as_json, otherwise=url)


def destroy(
    name: Name = "darkroom-dev",
    region: Region = "us-west-2",
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="images, records, models and the state, too")
    ] = False,
    drain: Annotated[float, typer.Option(help="minutes to wait for jobs that are queued")] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    overlay: Annotated[
        str, typer.Option(help=f"{' or '.join(OVERLAYS)}, where nobody wrote down which it was")
    ] = "dev",
    admin_cidr: AdminCidr = None,
    unlock: Unlock = None,
    as_json: Json = False,
) -> None:
    """Take an installation away, in the order that orphans nothing; say what is left."""
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text("utf-8"))
    wanted = Wanted(
        name=name, region=region, overlay=overlay, admin_cidrs=tuple(filter(None, admin_cidr or ()))
    )
    deployment = as_deployed(_deployment(wanted, catalogue, optional=False))
    deployment = replace(deployment, unlock=unlock, delete_data=delete_data, drain_s=60 * drain)
    account = deployment.account.id
    again = wanted.command("destroy") + (" --delete-data" if delete_data else "")
    again += f" --overlay {overlay}" if overlay != "dev" else ""
    again += f" --drain {drain:g}" if drain else ""
    data = "with all images and records" if delete_data else "but for images, records and models"
    asked = f"{name} in {account}, {region}, {data}. Its name, to go on"
    # On stderr, as all that is for people: stdout is for --json.
    if not yes and typer.prompt(asked, err=True) != name:
        raise Unfit("that is another name: nothing was changed")
    run(removal(deployment, deployment.reached()), deployment.journal, again=half_way(again))
    left, silent = carrying(deployment.connect, deployment.names)
    for each in silent:
        people.print(f"not asked: {each}", markup=False)
    document = {"left": left, "not_asked": silent}
    emit(document, as_json=as_json, otherwise="\n".join(left) or "nothing is left of it")


def open_(
    target: Annotated[str, typer.Argument(help=", ".join(TARGETS))],
    name: Name = "darkroom-dev",
    region: Region = "us-west-2",
    runtime: Annotated[str, typer.Option(help="of runtimes.yaml")] = "demo",
    port: Annotated[int | None, typer.Option(help="port on this machine")] = None,
) -> None:
    """Forward the web page, the Ray dashboard or Serve to this machine, until Ctrl-C."""
    if target not in TARGETS:
        raise Unfit(f"what can be opened is {', '.join(TARGETS)}")
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text("utf-8"))
    wanted = Wanted(name=name, region=region, runtime=runtime)
    deployment = _deployment(wanted, catalogue, optional=False)
    cluster = deployment.reached()
    if cluster is None:
        raise Unfit(f"EKS knows no cluster {name} in {region}")
    arguments, url = forwarding(target, runtime, port)
    with forwarded(cluster, arguments) as process:
        people.print(f"{url} (Ctrl-C ends it)", markup=False)
        if secret := _password_of(target, deployment):
            # On stdout: for a person who pastes it, or a program that reads it.
            emit(None, as_json=False, otherwise=secret)
        process.wait()
    raise ProgramFailed("kubectl has ended the forwarding; what it said stands above")


def _password_of(target: str, deployment: Deployment) -> str | None:
    """What the dashboard asks for, and the page where a load balancer shows it to others."""
    if target == "dashboard":
        return deployment.secret("ray-token")
    if target != "ui":
        return None
    try:
        password = deployment.secret(UI_PASSWORD)
    except ObjectMissing:
        return None
    people.print(f"user {UI_USER}; the password:", markup=False)
    return password


def _deployment(wanted: Wanted, catalogue: Catalogue, *, optional: bool) -> Deployment:
    """`optional`: whether it may be one without an account."""
    reach = functools.partial(connect, region_name=wanted.region)
    sts = reach("sts")  # a wrong profile or region is a mistake, also where none is needed
    try:
        account = identify(sts)
    except RecordsError:
        if not optional:
            raise
        account = NOBODY
    journal = Journal(wanted.home / "log")
    return Deployment(
        wanted=wanted,
        account=account,
        connect=functools.cache(reach),
        programs=Programs(heard=journal.note),
        journal=journal,
        catalogue=catalogue,
        package=build_package,
    )


def _rehearse(deployment: Deployment, *, as_json: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="darkroom-dry-") as folder:
        rehearsal = _rehearsed(deployment, Path(folder))
    document = {
        "emulated": rehearsal.emulated,
        "steps": [step.name for step in rehearsal.steps],
        "resources": rehearsal.changes.added,
        "changed": rehearsal.changes.changed,
        "replaced": rehearsal.changes.replaced,
        "destroyed": rehearsal.changes.destroyed,
        "month_usd": [{"name": line.name, "usd": round(line.usd, 2)} for line in rehearsal.lines],
    }
    emit(document, as_json=as_json, otherwise="\n".join(rehearsal.shown()))


def _rehearsed(deployment: Deployment, home: Path) -> Rehearsal:
    """Against what is there, else against an emulated AWS; people are told which."""
    if deployment.account is NOBODY:
        people.print("no credentials: planned against an emulated AWS; quotas are not looked at")
    else:
        there = deployment.state_bucket.exists()
        against = f"{deployment.wanted.name} as it is" if there else "an emulated AWS"
        people.print(
            f"planned against {against}; nothing is changed. Preflight is real:", markup=False
        )
        try:
            deployment.preflight.apply()
        except DeployError as error:
            people.print(str(error), markup=False)
        if there:
            return compare(_from_here(deployment), home)
    with emulated() as url:
        return rehearse(deployment, url, home)


def _from_here(deployment: Deployment) -> Deployment:
    """Where nobody said who reaches the cluster, it is this machine."""
    wanted = deployment.wanted
    if wanted.admin_cidrs:
        return deployment
    return replace(deployment, wanted=replace(wanted, here=own_network()))


def _secret_command(name: str, region: str, secret: str) -> str:
    return (
        f"aws secretsmanager get-secret-value --region {region} --secret-id {name}/{secret} "
        "--query SecretString --output text"
    )
