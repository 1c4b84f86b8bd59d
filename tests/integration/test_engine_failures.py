"""Whose failure it is: the company of a call that goes wrong is not disturbed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from plain_calls import call, difference, ended, made_together

from serve_app.engine import forward
from serve_app.engine.engine import Engine
from serve_app.errors import OutOfMemory


def test_a_call_with_impossible_arguments_fails_alone(engine: Engine) -> None:
    """Diffusers refuses a width that is no multiple of 8."""
    bad = call(1)
    bad.arguments["width"] = 63
    good = [call(2), call(3)]
    tickets = [engine.submit(each.ordered()) for each in (*good, bad)]

    with pytest.raises(ValueError, match="divisible by 8"):
        ended(tickets[2])
    for each, ticket in zip(good, tickets, strict=False):
        assert difference(ended(ticket), each.alone()) <= 1e-4


def test_values_that_are_no_numbers_stay_with_their_call(engine: Engine) -> None:
    """Rows do not touch each other: the company of a call gone wrong is exact."""
    bad, good = call(1), call(2)
    bad.arguments["latents"] = torch.full((1, 4, 8, 8), float("nan"))
    tickets = [engine.submit(each.ordered()) for each in (bad, good)]

    assert torch.isnan(ended(tickets[0]).output.images).all()
    assert difference(ended(tickets[1]), good.alone()) <= 1e-4


def failing(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[list[Any], int], Exception | None]
) -> list[int]:
    """Make forwards fail when `fails(calls, rows)` says so; the rows of all that were tried."""
    run, tried = forward.run, []

    def sometimes(calls: Any, *, to_rows: int = 0, module: Any = None) -> Any:
        rows = sum(each.rows for each in calls)
        tried.append(rows)
        if (error := fails(calls, rows)) is not None:
            raise error
        return run(calls, to_rows=to_rows, module=module)

    monkeypatch.setattr(forward, "run", sometimes)
    return tried


def test_a_forward_that_fails_for_one_call_fails_for_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is halved until the one at fault is alone."""
    calls = [call(index) for index in range(4)]
    truths = [each.alone() for each in calls]
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(calls[2].seed))
    bad_mark = float(noise.flatten()[0])

    def fails(group: list[Any], rows: int) -> Exception | None:
        del rows
        marks = [float(each.arguments["sample"].flatten()[0]) for each in group]
        return ValueError("a bad row") if bad_mark in marks else None

    failing(monkeypatch, fails)
    tickets = [engine.submit(each.ordered()) for each in calls]

    with pytest.raises(ValueError, match="a bad row"):
        ended(tickets[2])
    for index in (0, 1, 3):
        assert difference(ended(tickets[index]), truths[index]) <= 1e-4


def test_out_of_memory_halves_the_rows_before_anybody_fails(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device with room for four rows makes all eight calls, and does not try again and again."""
    tried = failing(
        monkeypatch, lambda _, rows: torch.OutOfMemoryError("full") if rows > 4 else None
    )
    calls = [call(index, steps=10) for index in range(8)]
    truths = [each.alone() for each in calls]

    for made, truth in zip(made_together(engine, calls), truths, strict=True):
        assert difference(made, truth) <= 1e-4
    assert sum(rows > 4 for rows in tried) <= 3


def test_a_call_that_does_not_fit_alone_is_out_of_memory(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only then does it fail."""
    failing(monkeypatch, lambda *_: torch.OutOfMemoryError("full"))

    with pytest.raises(OutOfMemory):
        ended(engine.submit(call().ordered()))
