"""Reading settings from a mapping: every process reads its environment once, at start."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from jobs.catalogue import Catalogue


class BadSetting(Exception):
    """A variable is missing or cannot be read; the message names it."""


def required(environ: Mapping[str, str], name: str) -> str:
    """The value of `name`; `BadSetting` if it is missing or empty."""
    value = environ.get(name, "").strip()
    if not value:
        raise BadSetting(f"{name} is not set")
    return value


def number(environ: Mapping[str, str], name: str, default: float, *, least: float = 0) -> float:
    """The value of `name` as a number of at least `least`."""
    text = environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        raise BadSetting(f"{name} must be a number, not {text!r}") from None
    if not (isfinite(value) and value >= least):
        raise BadSetting(f"{name} must be at least {least:g}, not {value:g}")
    return value


def switch(environ: Mapping[str, str], name: str) -> bool:
    """Whether `name` is on (1); off is 0 or not to say it."""
    value = environ.get(name, "").strip()
    if value not in ("", "0", "1"):
        raise BadSetting(f"{name} must be 0 or 1, not {value!r}")
    return value == "1"


def read_catalogue(environ: Mapping[str, str]) -> Catalogue:
    """The catalogue in the file that `DARKROOM_RUNTIMES` names.

    The only reading of a file in this package: three processes need it, word for word.
    """
    path = Path(environ.get("DARKROOM_RUNTIMES") or "runtimes.yaml")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise BadSetting(f"DARKROOM_RUNTIMES: cannot read {path}: {error.strerror}") from error
    return Catalogue.from_yaml(text)
