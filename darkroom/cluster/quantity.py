"""Kubernetes's quantities: 3920m, 14162Mi."""

from decimal import Decimal

_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)}
_UNITS = {**_BINARY, **_DECIMAL, "m": Decimal("0.001")}


def amount(text: object) -> Decimal:
    """A quantity in cores, bytes or pieces."""
    written = str(text)
    for unit, factor in _UNITS.items():
        if written.endswith(unit):
            return Decimal(written.removesuffix(unit)) * factor
    return Decimal(written)
