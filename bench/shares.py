"""Rows of a table of shares, and the figures of the JSON line beside it."""

from collections.abc import Iterable

import numpy as np

from training.tally import Tally
from training.trial import Picture

Figures = dict[str, float]


def report(label: str, outcomes: Iterable[bool]) -> Figures:
    """Print the row at once; name the figure for the JSON line."""
    tally = Tally.of(outcomes)
    print(tally.row(label), flush=True)
    words = "".join(c if c.isalnum() else " " for c in label.lower()).split()
    return {"_".join(words) + "_share": tally.share}


def difference(one: list[Picture], other: list[Picture]) -> float:
    """Mean absolute difference of pixel values, of 255."""
    return float(np.abs(np.stack(one).astype(float) - np.stack(other)).mean())
