"""Whose turn it is: keys that cannot share a forward share the device by time.

Deficit round robin (Shreedhar and Varghese, 1995), with seconds in place of bytes.
"""

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

#: Long enough that a key's rows gain from one another, short enough to go unnoticed.
QUANTUM_S = 0.05


K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Gives each key the device for about `quantum_s`, then the next one."""

    def __init__(self, quantum_s: float = QUANTUM_S) -> None:
        self._quantum_s = quantum_s
        self._left: dict[K, float] = {}

    def next(self, waiting: Collection[K]) -> K:
        """The key whose turn it is among those that have something to do; one at least."""
        for key in [key for key in self._left if key not in waiting]:
            del self._left[key]  # who has nothing to do saves nothing up
        for key in waiting:
            self._left.setdefault(key, self._quantum_s)
        while True:
            key = next(iter(self._left))
            if self._left[key] > 0:
                return key
            # To the back of the line, with what it took too long deducted.
            self._left[key] = self._left.pop(key) + self._quantum_s

    def used(self, key: K, seconds: float) -> None:
        """The key had the device for so long."""
        if key in self._left:
            self._left[key] -= seconds
