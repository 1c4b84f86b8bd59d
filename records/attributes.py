"""Items as DynamoDB's typed attributes, and back."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

_SERIALIZER = TypeSerializer()
_DESERIALIZER = TypeDeserializer()


def typed_value(value: Any) -> Any:
    """`value` as a typed attribute."""
    return _SERIALIZER.serialize(_decimal(value))


def typed(item: Mapping[str, Any]) -> dict[str, Any]:
    """A plain item with every value as a typed attribute."""
    return {name: typed_value(value) for name, value in item.items()}


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of typed attributes as plain Python values."""
    return {name: _number(_DESERIALIZER.deserialize(value)) for name, value in item.items()}


def _decimal(value: Any) -> Any:
    """`value` with floats as decimals, the only fractions that boto3 takes."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {name: _decimal(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_decimal(each) for each in value]
    return value


def _number(value: Any) -> Any:
    """`value` with decimals as int or float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _number(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_number(each) for each in value]
    return value
