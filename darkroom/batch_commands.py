"""`darkroom batch ...`"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from darkroom.batch import OnCluster, Tell, run_here
from darkroom.names import NAMESPACE
from darkroom.output import Json, emit
from darkroom.screen import people
from darkroom.status_command import On
from jobs.environment import required
from jobs.tally import Tally
from records.aws import S3Store
from records.connect import connect as connect_aws

batch_app = typer.Typer(no_args_is_help=True)


@batch_app.callback()
def batch() -> None:
    """Lists of prompts, without the queue."""


@batch_app.command()
def run(
    prompts: Annotated[
        Path, typer.Argument(help="a line each: the body of POST /v1/jobs, or its input alone")
    ],
    on: Annotated[On, typer.Option(help="this machine, or spot GPUs of the cluster")] = On.HERE,
    runtime: Annotated[str, typer.Option(help="one of runtimes.yaml")] = "demo",
    out: Annotated[Path, typer.Option(help="where the images go; here only")] = Path("out/batch"),
    timeout_s: Annotated[float, typer.Option(help="how long to wait for a cluster")] = 86_400,
    as_json: Json = False,
) -> None:
    """Bring a list of prompts to its end; run again after an interruption, it does what is left.

    On a cluster prompts and images lie in the bucket DARKROOM_BUCKET, below `batch/`.
    """
    with _shown() as tell:
        if on is On.HERE:
            last = _here(prompts, out, runtime, tell)
        else:
            last = _on_cluster(prompts, runtime, timeout_s, tell)
    if last.failed:
        people.print(f"failed: {last.failed}; each `.out` document says why", markup=False)
    place = str(out) if on is On.HERE else f"s3://{os.environ.get('DARKROOM_BUCKET')}/batch"
    emit(vars(last) | {"outputs": place}, as_json=as_json, otherwise=place)
    if last.failed:
        raise typer.Exit(1)


def _here(prompts: Path, out: Path, runtime: str, tell: Tell) -> Tally:
    with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
        program = run_here(prompts, out, runtime=runtime, environ=os.environ)
        return program.follow(tell, Path(folder) / "batch.log")


def _on_cluster(prompts: Path, runtime: str, timeout_s: float, tell: Tell) -> Tally:
    from darkroom.kuberay import KubeRay  # noqa: PLC0415  # a second that no other command needs

    batch = OnCluster(
        kuberay=KubeRay.connect(NAMESPACE),
        store=S3Store(connect_aws("s3"), required(os.environ, "DARKROOM_BUCKET")),
        runtime=runtime,
    )
    return batch.follow(prompts.read_bytes(), tell, timeout_s=timeout_s)


@contextmanager
def _shown() -> Iterator[Tell]:
    """A bar for people who watch, a line now and then for a log."""
    if not people.is_terminal:
        yield lambda told: people.print(f"{told.done} of {told.total}, {told.failed} failed")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=people) as bar:
        task = bar.add_task("painting", total=None, failed="")

        def tell(told: Tally) -> None:
            failed = f"{told.failed} failed" if told.failed else ""
            bar.update(task, total=told.total, completed=told.done, failed=failed)

        yield tell
