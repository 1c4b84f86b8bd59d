"""Whose rights a deployment needs: infra/permissions, filled in for one installation."""

import json
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from darkroom.deploy.wanted import ROOT
from darkroom.output import Json, emit

FOLDER = ROOT / "infra/permissions"
#: What IAM takes in one managed policy, spaces not counted.
MOST_CHARS = 6144


def policies(
    *,
    name: str,
    account: str,
    region: str,
    zone: str = "*",
    bucket: str | None = None,
    folder: Path = FOLDER,
) -> dict[str, Any]:
    """Name of the policy -> its document."""
    values = {
        "name": name,
        "account": account,
        "region": region,
        "zone": zone,
        "partition": "aws-cn" if region.startswith("cn-") else "aws",
        # One that was there before has no name of ours, and no other right here covers it.
        "models": bucket or f"{name}-models-{account}-{region}",
    }
    return {
        f"{name}-{path.stem}": json.loads(Template(path.read_text("utf-8")).substitute(values))
        for path in sorted(folder.glob("*.json"))
    }


def permissions(
    account: Annotated[str, typer.Option(help="number of the AWS account")],
    name: Annotated[str, typer.Option(help="name of the installation")] = "darkroom-dev",
    region: Annotated[str, typer.Option(help="AWS region")] = "us-west-2",
    zone: Annotated[str, typer.Option(help="Route 53 zone of --expose; *: any")] = "*",
    bucket: Annotated[
        str | None, typer.Option(help="bucket of models, if `darkroom deploy` is given one")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder to write")] = Path("build/permissions"),
    as_json: Json = False,
) -> None:
    """Write the IAM policies of who deploys, and the boundary of the roles that are made."""
    found = policies(name=name, account=account, region=region, zone=zone, bucket=bucket)
    out.mkdir(parents=True, exist_ok=True)
    for policy, document in found.items():
        (out / f"{policy}.json").write_text(json.dumps(document) + "\n", "utf-8")
    emit(found, as_json=as_json, otherwise="\n".join(str(out / f"{each}.json") for each in found))
