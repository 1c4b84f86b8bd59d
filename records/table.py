"""One table of records: the interface, and the words of its conditions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal, Protocol

Item = dict[str, Any]
Op = Literal["=", "<", "<=", ">=", "in", "absent", "present"]


@dataclass(frozen=True)
class Require:
    """A condition on one attribute. `in` takes a collection; the last two take no value."""

    attribute: str
    op: Op
    value: Any = None

    def holds(self, item: Mapping[str, Any]) -> bool:
        """Whether `item` meets it: DynamoDB's rules, an absent attribute compares to nothing."""
        value = item.get(self.attribute)
        match self.op:
            case "absent":
                return value is None
            case "present":
                return value is not None
            case _ if value is None:
                return False
            case "=":
                return bool(value == self.value)
            case "<":
                return bool(value < self.value)
            case "<=":
                return bool(value <= self.value)
            case ">=":
                return bool(value >= self.value)
            case "in":
                return value in self.value


@dataclass(frozen=True, kw_only=True)
class Change:
    """One conditional update: all of `require` must hold, then all of the rest is done."""

    require: Sequence[Require] = ()
    set: Mapping[str, Any] = field(default_factory=dict)
    remove: Sequence[str] = ()
    add: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Items of a query, and where to go on (opaque), if there are more."""

    items: Sequence[Item]
    cursor: str | None = None


class Table(Protocol):
    """A DynamoDB table, as far as we use one. There is no scan."""

    def get(self, key: str) -> Item | None:
        """The item with the partition key `key`, read consistently."""

    def put_new(self, *items: Item) -> None:
        """Write all of `items`, or none if any key exists: `ConditionFailed` with that item."""

    def update(self, key: str, change: Change) -> Item:
        """Do `change` and return the whole item as it is now.

        Raises `ConditionFailed` with the item as it is when a requirement does not hold;
        an absent item meets only `absent`.
        """

    def query(
        self,
        index: str,
        partition: str,
        *,
        below: int | None = None,
        newest_first: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """Items of one partition of an index in the order of its range key.

        `below` keeps those whose range key is smaller.
        """


def definitions() -> dict[str, dict[str, Any]]:
    """The tables by name: CreateTable's arguments and `TimeToLive`.

    One data file for the local stack, the fakes and the test of Terraform.
    """
    text = resources.files("records").joinpath("tables.json").read_text("utf-8")
    tables: dict[str, dict[str, Any]] = json.loads(text)
    return tables


def index_keys(table: str, index: str) -> tuple[str, str]:
    """The names of an index's (partition, range) attributes."""
    for entry in definitions()[table]["GlobalSecondaryIndexes"]:
        if entry["IndexName"] == index:
            partition, sort = entry["KeySchema"]
            return partition["AttributeName"], sort["AttributeName"]
    raise KeyError(index)
