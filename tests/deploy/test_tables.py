"""The applied tables are those of records/tables.json, whole."""

import json

import pytest
from terraform import ROOT

TABLES = json.loads((ROOT / "records/tables.json").read_text())


def described(table):
    """What of a description is a table's form, as the file spells it."""
    found = {
        "AttributeDefinitions": by(table["AttributeDefinitions"], "AttributeName"),
        "KeySchema": table["KeySchema"],
        "BillingMode": table.get("BillingModeSummary", table)["BillingMode"],
    }
    if table.get("GlobalSecondaryIndexes"):
        found["GlobalSecondaryIndexes"] = [
            {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
            for index in by(table["GlobalSecondaryIndexes"], "IndexName")
        ]
    return found


def by(items, name):
    """In an order that does not depend on who lists them."""
    return sorted(items, key=lambda item: item[name])


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_as_the_file_says(applied, name):
    """Keys, types, indexes with their projections, billing, time to live: nothing less or more."""
    client = applied.emulator.client("dynamodb")
    wanted = dict(TABLES[name])
    expiry = wanted.pop("TimeToLive", None)
    table = client.describe_table(TableName=f"demo-{name}")["Table"]
    assert described(table) == described(wanted)
    assert described(wanted).keys() == wanted.keys()
    told = client.describe_time_to_live(TableName=f"demo-{name}")["TimeToLiveDescription"]
    assert told["TimeToLiveStatus"] == ("ENABLED" if expiry else "DISABLED")
    assert told.get("AttributeName") == (expiry or {}).get("AttributeName")
