"""Shares with their 95 % intervals."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

#: Two-sided 95 % of the normal distribution.
Z = 1.959964


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many of a number of cases were right."""

    right: int
    cases: int

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> "Tally":
        """Count outcomes."""
        seen = list(outcomes)
        return cls(right=sum(seen), cases=len(seen))

    @property
    def share(self) -> float:
        """Share of right cases, 0-1; 0 of nothing is 0."""
        return self.right / self.cases if self.cases else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval, 0-1; unlike the usual one it is sound near 0 and 1."""
        if not self.cases:
            return 0.0, 1.0
        n, p = self.cases, self.share
        middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z * sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def row(self, label: str) -> str:
        """One row of a Markdown table: label, share, interval, cases."""
        low, high = (100 * end for end in self.interval)
        return f"| {label} | {100 * self.share:.1f} % | {low:.1f}-{high:.1f} % | {self.cases} |"
