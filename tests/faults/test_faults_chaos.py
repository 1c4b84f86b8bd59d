"""A minute of chaos: the short version of bench/chaos.py."""

import pytest

from tests.faults.chaos import Plan, run
from tests.faults.crash_points import POINTS


@pytest.mark.timeout(900)  # beyond its own patience, and far beyond the minute that it takes
def test_nothing_is_lost_and_nothing_ends_twice(capsys):
    """Every crash point once, 5 % errors, 5 % lost answers, Serve killed."""
    figures = run(Plan(jobs=40, seed=1, kills=len(POINTS), patience_s=600), print)
    capsys.readouterr()
    assert figures["faults"] == {}, figures
    assert figures["points_hit"] == len(POINTS)
    assert figures["accepted"] == figures["terminal"] >= 40
    assert figures["kills"] >= len(POINTS)
