"""AWS's list prices of one region on one day, in USD; no free tier is taken off."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Line:
    """One position of a bill."""

    name: str
    quantity: float
    unit: str
    price: float

    @property
    def usd(self) -> float:
        return self.quantity * self.price


@dataclass(frozen=True)
class Prices:
    """The table of `prices.json`."""

    table: dict[str, Any]

    @classmethod
    def listed(cls) -> Self:
        """The committed ones."""
        return cls(json.loads(resources.files("darkroom").joinpath("prices.json").read_text()))

    @property
    def as_of(self) -> str:
        return str(self.table["as_of"])

    @property
    def hours(self) -> float:
        """Hours in a month."""
        return float(self.table["hours_a_month"])

    def of(self, name: str) -> float:
        """A price by its name."""
        return float(self.table[name])

    def instance_hour(self, kind: str, *, spot: bool = False) -> float:
        """An hour of an instance type; `KeyError` names one that is not listed."""
        return float(self.table["spot_hour" if spot else "instance_hour"][kind])

    def monthly(self, name: str, count: float, hourly: str) -> Line:
        """What runs all month."""
        return Line(name=name, quantity=count * self.hours, unit="hours", price=self.of(hourly))

    def line(self, name: str, quantity: float, unit: str, price: str) -> Line:
        """A position at a listed price."""
        return Line(name=name, quantity=quantity, unit=unit, price=self.of(price))


def total(lines: list[Line]) -> float:
    """USD of all lines."""
    return sum(line.usd for line in lines)
