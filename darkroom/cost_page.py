"""The page docs/cost.md: `python -m darkroom.cost_page`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from darkroom.cost import Load, idle, variable
from darkroom.inventory import Inventory
from darkroom.prices import Line, Prices, total

ENVIRONMENTS = Path(__file__).resolve().parent.parent / "infra/terraform/envs"
#: What the AWS guidance publishes for a million images a month, and what it takes for granted.
GUIDANCE = (
    ("April 2024", 210.24, 226.18, "g5.2xlarge spot at 0.4968 USD"),
    ("March 2026", 189.50, 240.00, "g5.2xlarge or g6.2xlarge spot at 0.53 USD"),
)


def inventory(environment: str) -> Inventory:
    """The committed inventory of one environment; a test holds it equal to a plan."""
    path = ENVIRONMENTS / f"{environment}.inventory.json"
    return Inventory.from_json(path.read_text("utf-8"))


def page(prices: Prices) -> str:
    """The page's text."""
    awake = idle(inventory("dev"), prices, head_awake=True)
    asleep = idle(inventory("sleep"), prices, head_awake=False)
    prod = idle(inventory("prod"), prices, head_awake=True)
    spot, on_demand = Load(), replace(Load(), spot=False)
    spot_lines, on_demand_lines = variable(spot, prices), variable(on_demand, prices)
    return "\n".join(
        [
            "# What it costs",
            "",
            f"List prices of {prices.table['region']} as known on {prices.as_of} in USD, no free "
            f"tier. {prices.table['checked']} "
            "Written by `make cost` from Terraform's plans and `darkroom/prices.json`; "
            "`darkroom cost` answers for other loads.",
            "",
            "## An idle month",
            "",
            "`dev` has one NAT gateway and one system node, with the Ray head on it. In deep "
            "sleep (`sleep.tfvars`) the head is gone and the node smaller. `prod` has both in "
            "each of three zones.",
            "",
            *_table(
                ("", "dev, awake", "dev, deep sleep", "prod"),
                _columns([awake, asleep, prod]),
            ),
            "",
            "## A million images",
            "",
            f"{spot.seconds_per_image} s each on one {spot.instance}, "
            f"{spot.bursts:.0f} bursts a month: each starts a GPU node "
            f"({spot.cold_start_s:.0f} s until it works) and lets it go "
            f"({spot.cooldown_s:.0f} s).",
            "",
            *_table(("", "spot", "on demand"), _columns([spot_lines, on_demand_lines])),
            "",
            *_beside_the_guidance(awake, spot_lines),
            "",
        ]
    )


def _beside_the_guidance(fixed: list[Line], varying: list[Line]) -> list[str]:
    ours = (total(fixed), total(varying))
    return [
        "## Beside the AWS guidance",
        "",
        "It publishes two tables for the same million images. Both assume 1.5 s an image, a "
        "GPU that is never idle and never starts, 16 KB a request and 150 KB an image kept "
        "for a month; both leave out NAT, disks, logs, KMS, reads of the bucket, traces, and "
        "it has no records.",
        "",
        *_table(
            ("", "fixed", "variable", "together"),
            [
                *((f"{when}: {what}", f, v, f + v) for when, f, v, what in GUIDANCE),
                ("Darkroom, dev, spot, with all that", *ours, sum(ours)),
                ("the same without what they leave out", *_comparable(fixed, varying)),
            ],
        ),
    ]


#: Lines of ours that the guidance's tables have too.
_COUNTED = (
    *("EKS control plane", "system node", "GPU at work", "API Gateway", "Lambda", "SNS", "SQS"),
    *("S3: image", "S3: a month"),
)


def _comparable(fixed: Sequence[Line], variable: Sequence[Line]) -> tuple[float, float, float]:
    """Fixed, variable and both, of what the guidance counts."""
    sums = [
        total(
            [line for line in lines if line.name.startswith(_COUNTED) and "disks" not in line.name]
        )
        for lines in (fixed, variable)
    ]
    return sums[0], sums[1], sum(sums)


def _columns(bills: Sequence[Sequence[Line]]) -> list[tuple[str | float, ...]]:
    """One row for each line's name, one column for each bill, and the sum."""
    names = dict.fromkeys(_label(line) for bill in bills for line in bill)
    rows: list[tuple[str | float, ...]] = []
    for name in names:
        sums = [total([line for line in bill if _label(line) == name]) for bill in bills]
        if any(sums):
            rows.append((name, *sums))
    return [*rows, ("**together**", *(total(list(bill)) for bill in bills))]


def _label(line: Line) -> str:
    """The type of a node differs from column to column."""
    return "GPU at work" if line.name.startswith("GPU at work") else line.name


def _table(head: Sequence[str], rows: Sequence[Sequence[str | float]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for row in rows:
        cells = [cell if isinstance(cell, str) else f"{cell:,.2f}" for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write(page(Prices.listed()))
