"""The record table in DynamoDB. The boto3 client is given, never made here."""

import base64
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from records.attributes import plain, typed, typed_value
from records.errors import translated
from records.table import Change, Item, Page, Require, index_keys

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: What a cursor may hold: the key of a job, and a time.
_PK = re.compile(r"job#[0-9A-Za-z-]{1,64}")
_MAX_MS = 2**53


class DynamoTable:
    """The table of records."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def get(self, key: str) -> Item | None:
        with translated("DynamoDB GetItem"):
            answer = self._client.get_item(
                TableName=self._name, Key={"pk": {"S": key}}, ConsistentRead=True
            )
        return plain(answer["Item"]) if "Item" in answer else None

    def put_new(self, *items: Item) -> None:
        puts: list[Any] = [
            {
                "TableName": self._name,
                "Item": typed(item),
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
            for item in items
        ]
        with translated("DynamoDB PutItem"):
            if len(puts) == 1:
                self._client.put_item(**puts[0])
            else:
                self._client.transact_write_items(TransactItems=[{"Put": put} for put in puts])

    def update(self, key: str, change: Change) -> Item:
        expression = _Expression()
        arguments: dict[str, Any] = {
            "TableName": self._name,
            "Key": {"pk": {"S": key}},
            "UpdateExpression": expression.update(change),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if change.require:
            arguments["ConditionExpression"] = expression.condition(change.require)
        arguments["ExpressionAttributeNames"] = expression.names
        if expression.values:
            arguments["ExpressionAttributeValues"] = expression.values
        with translated("DynamoDB UpdateItem"):
            answer = self._client.update_item(**arguments)
        return plain(answer["Attributes"])

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
        hash_key, range_key = index_keys("jobs", index)
        expression = _Expression()
        wanted = [Require(hash_key, "=", partition)]
        if below is not None:
            wanted.append(Require(range_key, "<", below))
        arguments: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": index,
            "KeyConditionExpression": expression.condition(wanted),
            "ExpressionAttributeNames": expression.names,
            "ExpressionAttributeValues": expression.values,
            "ScanIndexForward": not newest_first,
            "Limit": limit,
        }
        if cursor is not None:
            arguments["ExclusiveStartKey"] = typed(decode_cursor(cursor, index, partition))
        with translated("DynamoDB Query"):
            answer = self._client.query(**arguments)
        last = answer.get("LastEvaluatedKey")
        return Page(
            items=[plain(item) for item in answer["Items"]],
            cursor=encode_cursor(plain(last)) if last else None,
        )


class _Expression:
    """DynamoDB expressions with every name and value behind a placeholder."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def condition(self, requirements: Sequence[Require]) -> str:
        return " AND ".join(self._requirement(each) for each in requirements)

    def update(self, change: Change) -> str:
        clauses = []
        if change.set:
            pairs = (f"{self._name(n)} = {self._value(v)}" for n, v in change.set.items())
            clauses.append("SET " + ", ".join(pairs))
        if change.remove:
            clauses.append("REMOVE " + ", ".join(self._name(n) for n in change.remove))
        if change.add:
            pairs = (f"{self._name(n)} {self._value(v)}" for n, v in change.add.items())
            clauses.append("ADD " + ", ".join(pairs))
        return " ".join(clauses)

    def _requirement(self, require: Require) -> str:
        name = self._name(require.attribute)
        match require.op:
            case "absent":
                return f"attribute_not_exists({name})"
            case "present":
                return f"attribute_exists({name})"
            case "in":
                return f"{name} IN ({', '.join(self._value(v) for v in sorted(require.value))})"
            case op:
                return f"{name} {op} {self._value(require.value)}"

    def _name(self, attribute: str) -> str:
        placeholder = f"#{attribute}"
        self.names[placeholder] = attribute
        return placeholder

    def _value(self, value: Any) -> str:
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = typed_value(value)
        return placeholder


def encode_cursor(key: Item) -> str:
    """A query's last key as an opaque word that fits into a URL."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def decode_cursor(cursor: str, index: str, partition: str) -> Item:
    """What `encode_cursor` encoded for this partition; `ValueError` for anything else.

    It comes back from clients, so it may be anything, also another tenant's.
    """
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor))
    except RecursionError as error:
        raise ValueError("not a cursor") from error
    hash_key, range_key = index_keys("jobs", index)
    if not isinstance(key, dict) or set(key) != {"pk", hash_key, range_key}:
        raise ValueError("not a cursor")
    if key[hash_key] != partition:
        raise ValueError("a cursor of another list")
    # DynamoDB's refusal of such a key would look like an outage.
    if not _PK.fullmatch(str(key["pk"])) or type(key[range_key]) is not int:
        raise ValueError("not a cursor")
    if abs(key[range_key]) > _MAX_MS:
        raise ValueError("not a cursor")
    return key
