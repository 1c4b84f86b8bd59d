"""`darkroom cost`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.cost import Load, idle, variable
from darkroom.cost_page import GUIDANCE, inventory
from darkroom.errors import DarkroomError
from darkroom.inventory import Inventory
from darkroom.names import EXPOSURES
from darkroom.output import Json, emit
from darkroom.prices import Line, Prices, total
from darkroom.screen import pairs_table, people


def cost(
    images_per_month: Annotated[float, typer.Option(help="how many images a month")] = 1e6,
    seconds_per_image: Annotated[float, typer.Option(help="on the GPU")] = 1.5,
    bursts_per_month: Annotated[float, typer.Option(help="times that a GPU node comes")] = 60,
    instance: Annotated[str, typer.Option(help="of the GPU nodes")] = "g5.2xlarge",
    spot: Annotated[bool, typer.Option("--spot/--on-demand")] = True,
    environment: Annotated[str, typer.Option(help="dev, sleep or prod")] = "dev",
    expose: Annotated[str, typer.Option(help=", ".join(EXPOSURES))] = "none",
    plan: Annotated[
        Path | None, typer.Option(help="`terraform show -json` of a plan, instead")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what an installation costs in a month: idle, and with so many images."""
    prices = Prices.listed()
    load = Load(
        images=images_per_month,
        seconds_per_image=seconds_per_image,
        bursts=bursts_per_month,
        instance=instance,
        spot=spot,
    )
    try:
        fixed = idle(
            _inventory(environment, expose, plan), prices, head_awake=environment != "sleep"
        )
        varying = variable(load, prices)
    except KeyError as missing:
        raise DarkroomError(f"darkroom/prices.json has no price of {missing}") from missing
    document = _document(fixed, varying, load.images, prices)
    if not as_json:
        for title, lines in (("fixed", fixed), ("variable", varying)):
            rows = [(line.name, f"{line.usd:10,.2f}") for line in lines if line.usd >= 0.005]
            people.print(title)
            people.print(pairs_table([*rows, ("together", f"{total(lines):10,.2f}")]))
        for when, theirs, more, what in GUIDANCE:
            people.print(
                f"the AWS guidance of {when}: {theirs + more:,.2f} for a million images ({what})",
                markup=False,
            )
    emit(
        document,
        as_json=as_json,
        otherwise=f"{document['month_usd']:,.2f} USD a month, {document['idle_usd']:,.2f} idle, "
        f"{document['per_million_usd']:,.2f} for each million images (prices of {prices.as_of})",
    )


def _inventory(environment: str, expose: str, plan: Path | None) -> Inventory:
    if plan is not None:
        try:
            return Inventory.of_plan(json.loads(plan.read_text("utf-8")))
        except (ValueError, KeyError) as error:
            raise DarkroomError(f"{plan} is no plan as `terraform show -json` prints it") from error
    if environment not in ("dev", "sleep", "prod"):
        raise DarkroomError("--environment is dev, sleep or prod")
    if expose not in EXPOSURES:
        raise DarkroomError(f"--expose is one of {', '.join(EXPOSURES)}")
    return inventory(environment).exposed(expose)


def _document(
    fixed: list[Line], varying: list[Line], images: float, prices: Prices
) -> dict[str, Any]:
    def rows(lines: list[Line]) -> list[dict[str, Any]]:
        return [
            {"name": line.name, "quantity": line.quantity, "unit": line.unit, "usd": line.usd}
            for line in lines
        ]

    return {
        "prices_as_of": prices.as_of,
        "idle_usd": round(total(fixed), 2),
        "variable_usd": round(total(varying), 2),
        "month_usd": round(total(fixed) + total(varying), 2),
        "per_million_usd": round(total(varying) / images * 1e6, 2) if images else 0.0,
        "fixed": rows(fixed),
        "variable": rows(varying),
    }
