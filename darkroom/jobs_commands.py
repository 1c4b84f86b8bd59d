"""`darkroom jobs ...`"""

from typing import Annotated

import typer

from darkroom.output import Json, Key, Url, connected, emit
from darkroom.screen import follow, jobs_table, pairs_table, people, timeline_table
from jobs.status import Status
from jobs.view import JobView

jobs_app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="the job's uid, or your own id for it")]


@jobs_app.command(name="list")
def list_jobs(
    status: Annotated[Status | None, typer.Option(help="only these")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    cursor: Annotated[str | None, typer.Option(help="next_cursor of the page before")] = None,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Your jobs, newest first."""
    with connected(url, key) as client:
        page = client.jobs(status=status, limit=limit, cursor=cursor)
    if not as_json:
        people.print(jobs_table(page.data))
        if page.next_cursor:
            people.print(f"more: --cursor {page.next_cursor}", markup=False)
    emit(page.model_dump(mode="json"), as_json=as_json, otherwise="")


@jobs_app.command()
def show(name: Name, url: Url = None, key: Key = None, as_json: Json = False) -> None:
    """One job and its timeline."""
    with connected(url, key) as client:
        view = client.job(name)
    _show(view, as_json=as_json)


@jobs_app.command()
def watch(name: Name, url: Url = None, key: Key = None, as_json: Json = False) -> None:
    """Follow a job until it has ended."""
    with connected(url, key) as client:
        view = follow(client.watch(name))
    _show(view, as_json=as_json)
    if view.status is not Status.SUCCEEDED:
        raise typer.Exit(1)


@jobs_app.command()
def cancel(name: Name, url: Url = None, key: Key = None, as_json: Json = False) -> None:
    """Stop a job."""
    with connected(url, key) as client:
        view = client.cancel(name)
    word = str(view.status) if view.done else "asked to stop"
    emit(view.model_dump(mode="json"), as_json=as_json, otherwise=word)


@jobs_app.command()
def delete(name: Name, url: Url = None, key: Key = None, as_json: Json = False) -> None:
    """Remove the images of a job that has ended, and what it was asked."""
    with connected(url, key) as client:
        client.delete(name)
    emit({"deleted": name}, as_json=as_json, otherwise=f"deleted {name}")


def _show(view: JobView, *, as_json: bool) -> None:
    if not as_json:
        rows = [
            ("uid", view.uid),
            ("id", view.id),
            ("status", str(view.status)),
            ("model", f"{view.runtime}/{view.model}"),
            ("attempts", str(view.attempts)),
            *([("error", f"{view.error.code}: {view.error.message}")] if view.error else []),
            *(("image", output.url or output.key) for output in view.outputs),
            *(("note", warning) for warning in view.warnings),
        ]
        people.print(pairs_table(rows))
        people.print(timeline_table(view))
    emit(view.model_dump(mode="json"), as_json=as_json, otherwise="")
