"""YAML with `${name}` in the place of a value: filled in as data, never as text.

A string that is nothing but one placeholder becomes the value itself, whatever its type; an
element of a list that becomes a list is spliced in; what becomes None is left out. So no value
can break out of its place, and a template stays YAML that tools can read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from darkroom.cluster.errors import NotRenderable

_PLACEHOLDER = re.compile(r"\$\{([a-z0-9_.]+)\}")


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML file."""
    return [
        each
        for each in yaml.load_all(path.read_text("utf-8"), yaml.CSafeLoader)
        if each is not None
    ]


def filled(path: Path, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of a template with its placeholders replaced from `values`, by dotted name."""
    try:
        return [fill(each, values) for each in read_objects(path)]
    except KeyError as missing:
        raise NotRenderable(f"{path.name}: nothing is called {missing}") from missing


def fill(node: Any, values: Mapping[str, Any]) -> Any:
    """`node` with its placeholders replaced; `KeyError` with the name of one that has no value."""
    match node:
        case dict():
            pairs = {fill(key, values): fill(value, values) for key, value in node.items()}
            return {key: value for key, value in pairs.items() if value is not None}
        case list():
            return [part for each in node for part in _element(each, values)]
        case str():
            return _text(node, values)
        case _:
            return node


def _element(node: Any, values: Mapping[str, Any]) -> list[Any]:
    value = fill(node, values)
    if value is None:
        return []
    return value if isinstance(value, list) and isinstance(node, str) else [value]


def _text(text: str, values: Mapping[str, Any]) -> Any:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole:
        return _looked_up(whole[1], values)
    return _PLACEHOLDER.sub(lambda found: str(_looked_up(found[1], values)), text)


def _looked_up(name: str, values: Mapping[str, Any]) -> Any:
    node: Any = values
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise KeyError(name)
        node = node[part]
    return node


class _Dumper(yaml.CSafeDumper):
    """No anchors, and multi-line strings as blocks: people read this before they apply it."""

    def ignore_aliases(self, data: Any) -> bool:
        """An alias would hide what an object says."""
        return True


def _string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def written(objects: list[dict[str, Any]]) -> str:
    """The objects as one YAML stream."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=1000, explicit_start=True)
