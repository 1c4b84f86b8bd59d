"""Custom resources against the schemas and the CEL rules of their definitions.

What an API server would refuse is refused here, before there is one: unknown fields as well,
which a server prunes in silence unless it is asked to be strict.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cel
import yaml
from jsonschema import Draft202012Validator

from darkroom.cluster.errors import CannotValidate
from darkroom.cluster.finding import Finding

_KEEP = "x-kubernetes-preserve-unknown-fields"
_RULES = "x-kubernetes-validations"
_DOWNLOADED = Path(__file__).resolve().parents[2] / ".cache/crds"


def crd_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the definitions are: CRD_DIR, else what `make crds` downloaded."""
    place = Path(environ.get("CRD_DIR") or _DOWNLOADED)
    if any(place.rglob("*.yaml")):
        return place
    raise CannotValidate("no definitions of custom resources: `make crds`, or set CRD_DIR")


class Definitions:
    """The custom resource definitions of one folder."""

    def __init__(self, folder: Path) -> None:
        self._schemas = _schemas(folder)

    def __contains__(self, manifest: Mapping[str, Any]) -> bool:
        return _kind(manifest) in self._schemas

    def check(self, manifest: Mapping[str, Any]) -> Iterator[Finding]:
        """All faults of one custom resource."""
        schema = self._schemas[_kind(manifest)]
        for fault in Draft202012Validator(_strict(schema)).iter_errors(manifest):
            place = ".".join(map(str, fault.absolute_path))
            yield Finding.of("crd-schema", manifest, f"{place}: {fault.message[:300]}")
        for place, message in _broken_rules(schema, _defaulted(schema, manifest), ""):
            yield Finding.of("crd-rule", manifest, f"{place or 'the object'}: {message}")


def _kind(manifest: Mapping[str, Any]) -> tuple[str, str]:
    return str(manifest.get("apiVersion")), str(manifest.get("kind"))


@lru_cache(maxsize=2)
def _schemas(folder: Path) -> Mapping[tuple[str, str], dict[str, Any]]:
    found = {}
    for path in sorted(folder.rglob("*.yaml")):
        definition = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
        if (definition or {}).get("kind") != "CustomResourceDefinition":
            continue
        spec = definition["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            found[key] = version["schema"]["openAPIV3Schema"]
    return found


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same as JSON Schema, with unknown fields forbidden wherever fields are listed."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-")}
    made.pop("format", None)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in made:
            # Only conditions stand there; fields are listed beside it.
            made[key] = [dict(part) for part in made[key]]
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    if "properties" in made:
        made["properties"] = {name: _strict(each) for name, each in made["properties"].items()}
        if not schema.get(_KEEP) and "additionalProperties" not in made:
            made["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _strict(made[key])
    if made.pop("nullable", False) and "type" in made:
        made["type"] = [made["type"], "null"]
    # OpenAPI 3.0 says with a switch what JSON Schema says with a number.
    for limit in ("Minimum", "Maximum"):
        if made.get(f"exclusive{limit}") is True:
            made[f"exclusive{limit}"] = made.pop(limit.lower())
        elif made.get(f"exclusive{limit}") is False:
            del made[f"exclusive{limit}"]
    return made


def _defaulted(schema: Mapping[str, Any], value: Any) -> Any:
    """`value` as a server would store it: rules may speak of fields that have a default."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        more = schema.get("additionalProperties")
        filled = {name: each["default"] for name, each in properties.items() if "default" in each}
        return {
            name: _defaulted(properties.get(name) or (more if isinstance(more, dict) else {}), each)
            for name, each in {**filled, **value}.items()
        }
    if isinstance(value, list):
        return [_defaulted(schema.get("items") or {}, each) for each in value]
    return value


def _broken_rules(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get(_RULES, ()):
        # Of a change; here is nothing before.
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            yield place, rule.get("message") or rule["rule"]
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        more = schema.get("additionalProperties")
        for name, each in value.items():
            inner = properties.get(name) or (more if isinstance(more, dict) else {})
            yield from _broken_rules(inner, each, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _broken_rules(schema.get("items") or {}, each, f"{place}[{number}]")


def _holds(rule: str, value: Any) -> bool:
    context = cel.Context()
    context.add_variable("self", value)
    for name, function in _FUNCTIONS.items():
        context.add_function(name, function)
    try:
        return bool(cel.evaluate(rule, context))
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CannotValidate(f"CEL does not evaluate {rule!r}: {error}") from error


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


#: Kubernetes's own additions to CEL that the definitions use.
_FUNCTIONS = {"find": _find, "split": lambda text, by: text.split(by)}
