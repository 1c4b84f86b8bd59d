"""A parameter of a model as the page shows it, read from the model's JSON Schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

#: A slider's step for numbers that may be fractions.
_FINE_STEP = 0.05


@dataclass(frozen=True, kw_only=True)
class Control:
    """Bounds, choices and default of one field of a job's input."""

    name: str
    integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: float = 1
    choices: tuple[str, ...] = ()
    default: Any = None
    required: bool = False

    @classmethod
    def of_field(
        cls, name: str, field: Mapping[str, Any], defs: Mapping[str, Any], *, required: bool
    ) -> Self:
        """The control for one property of an object's schema."""
        value = _value_schema(field, defs)
        integer = value.get("type") == "integer"
        step = value.get("multipleOf", 1 if integer else _FINE_STEP)
        minimum = value.get("minimum")
        if minimum is None and "exclusiveMinimum" in value:
            minimum = value["exclusiveMinimum"] + step
        return cls(
            name=name,
            integer=integer,
            minimum=minimum,
            maximum=value.get("maximum"),
            step=step,
            choices=tuple(value.get("enum", ())),
            default=field.get("default"),
            required=required,
        )

    def cast(self, value: Any) -> Any:
        """`value` as the API takes it: a browser does not tell 20 from 20.0, a seed is text.

        What is no number stays as it is, so that the API names what is wrong with it.
        """
        if not self.integer:
            return value
        is_whole = value.is_integer() if isinstance(value, float) else str(value).isdecimal()
        return int(value) if is_whole else value


def controls(schema: Mapping[str, Any]) -> dict[str, Control]:
    """The controls of an input schema, by field name."""
    required = schema.get("required", ())
    return {
        name: Control.of_field(name, field, schema.get("$defs", {}), required=name in required)
        for name, field in schema["properties"].items()
    }


def _value_schema(field: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the value itself: without `| None`, with its definition looked up."""
    branches = field.get("anyOf", [field])
    value: Mapping[str, Any] = next(b for b in branches if b.get("type") != "null")
    name = value.get("$ref", "").removeprefix("#/$defs/")
    return {**defs[name], **value} if name else value
