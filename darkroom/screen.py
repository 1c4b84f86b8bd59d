"""What people see: on stderr, in colours and with moving parts only on a terminal."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from jobs.view import JobView

people = Console(stderr=True, highlight=False)
if not people.is_terminal:
    # Nobody reads it in a window: do not cut or wrap what a program may look for.
    people = Console(stderr=True, highlight=False, width=200, soft_wrap=True)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner while something takes a while; a plain line where nobody watches."""
    if people.is_terminal:
        with people.status(what):
            yield
    else:
        people.print(what)
        yield


def follow(views: Iterable[JobView]) -> JobView:
    """Show a job's way through its states; its last view."""
    if not people.is_terminal:
        return _follow_lines(views)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[position]:<16}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=people, transient=True) as progress:
        task = progress.add_task("queued", total=None, position="")
        for view in views:
            last = view
            position, total = _position(view), view.progress.total or None
            progress.update(
                task,
                description=str(view.status),
                total=total,
                completed=view.progress.step,
                position=position,
            )
    return last


def _follow_lines(views: Iterable[JobView]) -> JobView:
    shown = ""
    for view in views:
        last = view
        line = f"{view.status} {_position(view)}".strip()
        if line != shown:
            people.print(f"  {line}")
        shown = line
    return last


def _position(view: JobView) -> str:
    progress = view.progress
    if view.done or not progress.stage:
        return ""
    steps = f" {progress.step}/{progress.total}" if progress.total else ""
    return progress.stage + steps


def timeline(view: JobView) -> list[tuple[str, float]]:
    """The points that a job has passed, in seconds since it was accepted, in order."""
    times = view.times
    points: list[tuple[str, datetime | None]] = [
        ("accepted", times.accepted),
        ("published", times.published),
        ("leased", times.leased),
        ("started", times.started),
        *times.stages.items(),
        ("uploaded", times.uploaded),
        ("recorded", times.recorded),
        ("notified", times.notified),
    ]
    return [(name, (at - times.accepted).total_seconds()) for name, at in points if at is not None]


def timeline_table(view: JobView) -> Table:
    """The timeline, with what each point took since the one before."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("point")
    table.add_column("at, s", justify="right")
    table.add_column("took, s", justify="right")
    before = 0.0
    for name, at in timeline(view):
        table.add_row(name, f"{at:.2f}", f"{at - before:.2f}")
        before = at
    return table


def jobs_table(views: Iterable[JobView]) -> Table:
    """Jobs, one a line."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("uid", no_wrap=True, min_width=36)
    for column in ("status", "model", "task", "accepted", "images"):
        table.add_column(column)
    for view in views:
        table.add_row(
            view.uid,
            str(view.status),
            view.model,
            str((view.input or {}).get("task", "")),
            f"{view.times.accepted.astimezone():%Y-%m-%d %H:%M:%S}",
            str(len(view.outputs)),
        )
    return table


def pairs_table(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    for name, value in pairs:
        table.add_row(Text(name, style="dim"), Text(value))
    return table
