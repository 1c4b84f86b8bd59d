"""Who shares the next forward, and when a further row is worth it."""

from collections.abc import Callable
from typing import Any

import pytest

from serve_app.engine.order import Priority
from serve_app.engine.policy import (
    AGEING_S,
    PROMOTION_S,
    Candidate,
    Fifo,
    ShortestFirst,
    WholeRequests,
    all_fit,
)
from serve_app.engine.step_time import StepTime
from serve_app.engine.turns import Turns


def candidate(**given: Any) -> Candidate:
    """A call of two rows with ten steps to go that has just come."""
    usual = {
        "rows": 2,
        "remaining": 10,
        "waited_s": 0.0,
        "priority": Priority.INTERACTIVE,
        "slack_s": None,
        "is_started": False,
        "likeness": "one",
    }
    return Candidate(**usual | given)


def up_to(rows: int) -> Callable[[int, int], bool]:
    """A forward of at most so many rows."""
    return lambda now, more: now == 0 or now + more <= rows


def test_the_shortest_go_first() -> None:
    """As many as there is room for."""
    waiting = [candidate(remaining=steps) for steps in (50, 4, 20, 8)]

    assert ShortestFirst().choose(waiting, up_to(4)) == [1, 3]


def test_a_long_call_is_not_overtaken_for_ever() -> None:
    """Waiting earns it steps."""
    old = candidate(remaining=50, waited_s=47 * AGEING_S)
    waiting = [candidate(remaining=4), old]

    assert ShortestFirst().choose(waiting, up_to(2)) == [1]


def test_interactive_calls_go_before_batch_calls() -> None:
    """However long they take."""
    waiting = [candidate(remaining=1, priority=Priority.BATCH), candidate(remaining=99)]

    assert ShortestFirst().choose(waiting, up_to(2)) == [1]


def test_a_batch_call_that_waited_a_minute_counts_as_interactive() -> None:
    """Otherwise a busy replica would never make it."""
    batch = candidate(priority=Priority.BATCH, waited_s=PROMOTION_S)

    assert ShortestFirst().choose([candidate(remaining=5), batch], up_to(2)) == [1]


def test_a_call_that_would_be_late_goes_before_all_others() -> None:
    """Its slack is used up."""
    late = candidate(remaining=80, slack_s=-0.1, priority=Priority.BATCH)

    assert ShortestFirst().choose([candidate(remaining=1), late], up_to(2)) == [1]


def test_a_call_that_is_too_large_lets_smaller_ones_by() -> None:
    """The images of one job move together; half a job is no use."""
    waiting = [candidate(remaining=1), candidate(remaining=2, rows=8), candidate(remaining=3)]

    assert ShortestFirst().choose(waiting, up_to(4)) == [0, 2]


def test_fifo_makes_one_call_after_the_other() -> None:
    """Whoever has begun ends, then the oldest."""
    waiting = [candidate(waited_s=1.0), candidate(waited_s=9.0), candidate(is_started=True)]

    assert Fifo().choose(waiting, up_to(99)) == [2]
    assert Fifo().choose(waiting[:2], up_to(99)) == [1]


def test_whole_requests_share_only_with_their_like_and_nobody_joins() -> None:
    """What servers do that batch requests."""
    waiting = [
        candidate(waited_s=3.0),
        candidate(waited_s=2.0, likeness="other"),
        candidate(waited_s=1.0),
    ]
    begun = [candidate(is_started=True), candidate(waited_s=9.0)]

    assert WholeRequests().choose(waiting, up_to(99)) == [0, 2]
    assert WholeRequests().choose(begun, up_to(99)) == [0]


def learnt(a: float, b: float, sizes: tuple[int, ...] = (2, 4, 8, 16)) -> StepTime:
    """Step times measured on a device of t = a + b * rows."""
    times = StepTime()
    for _ in range(5):
        for rows in sizes:
            times.measured(rows, a + b * rows)
    return times


def test_the_line_is_learnt_from_forwards() -> None:
    """Exactly, without noise."""
    assert learnt(0.010, 0.002).line == pytest.approx((0.010, 0.002))


def test_the_first_forward_of_a_size_is_not_counted() -> None:
    """It also pays for choosing kernels."""
    times = StepTime()
    times.measured(2, 5.0)
    for _ in range(3):
        times.measured(2, 0.1)

    assert times.seconds(2) == pytest.approx(0.1)


def test_rows_are_added_while_they_gain_and_no_longer() -> None:
    """With a fixed cost of ten rows' time two more rows still gain, at forty hardly."""
    times = learnt(0.010, 0.001)

    assert times.allows(8, 2)
    assert not times.allows(40, 2)


def test_a_device_that_gains_nothing_gets_one_call_at_a_time() -> None:
    """Ten calls at once would only make all of them late."""
    times = learnt(0.0, 0.02)

    assert times.allows(0, 2)
    assert not times.allows(2, 2)


def test_before_anything_is_learnt_rows_are_tried() -> None:
    """Otherwise two sizes would never be seen."""
    assert StepTime().allows(8, 2)


def test_the_limit_after_out_of_memory_holds() -> None:
    """Whatever the line says."""
    times = learnt(0.010, 0.001)
    times.limit(4)

    assert not times.allows(4, 2)
    assert times.allows(0, 8)  # alone it must be tried


def test_keys_take_turns_by_time() -> None:
    """A key whose forwards are four times as long gets a quarter as many."""
    turns: Turns[str] = Turns(quantum_s=0.05)
    cost = {"small": 0.01, "large": 0.04}
    spent = dict.fromkeys(cost, 0.0)
    for _ in range(500):
        key = turns.next(list(cost))
        turns.used(key, cost[key])
        spent[key] += cost[key]

    assert spent["small"] == pytest.approx(spent["large"], rel=0.1)


def test_a_key_that_had_nothing_to_do_saves_nothing_up() -> None:
    """It comes back as if it were new."""
    turns: Turns[str] = Turns(quantum_s=0.05)
    for _ in range(20):
        turns.used(turns.next(["busy"]), 0.04)
    order = []
    for _ in range(6):
        key = turns.next(["busy", "back"])
        turns.used(key, 0.05)
        order.append(key)

    assert sorted(order) == ["back"] * 3 + ["busy"] * 3


@pytest.mark.parametrize("rows", [1, 2, 6])
@pytest.mark.parametrize(("a", "b"), [(0.0, 0.01), (0.01, 0.01), (0.1, 0.001), (0.02, 0.0)])
def test_all_fit_where_choosing_would_leave_nobody_out(a: float, b: float, rows: int) -> None:
    """Seen at a glance, and never wrongly."""
    times = learnt(a, b)
    seen = set()
    for count in range(1, 70):
        waiting = [candidate(rows=rows, remaining=step) for step in range(count)]
        chosen = ShortestFirst().choose(waiting, times.allows)
        assert all_fit([rows] * count, times.allows) == (len(chosen) == count)
        seen.add(len(chosen) == count)
    assert seen == {True, False}


def test_calls_of_different_rows_are_looked_at() -> None:
    """Which of them fit depends on who comes first."""
    assert not all_fit([2, 4], up_to(100))
