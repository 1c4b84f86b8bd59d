"""The command line.

Exit status: 0 done, 1 the job or the request failed, 2 the command could not run, 130 Ctrl-C.
Results go to stdout (with `--json` as one JSON document), everything for people to stderr.
"""

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from client.errors import ClientError
from darkroom.batch_commands import batch_app
from darkroom.cluster.render_command import render
from darkroom.cost_command import cost
from darkroom.demo import Demo, run_demo
from darkroom.deploy.commands import deploy, destroy, open_
from darkroom.deploy.permissions import permissions
from darkroom.deploy.snapshot_command import snapshot_app
from darkroom.dlq_commands import dlq_app
from darkroom.doctor import examine
from darkroom.download import download
from darkroom.errors import DarkroomError, JobFailed
from darkroom.jobs_commands import jobs_app
from darkroom.output import Json, Key, Url, connected, emit
from darkroom.picture import picture
from darkroom.screen import follow, pairs_table, people, timeline_table, waiting
from darkroom.stack import Stack, StackOptions
from darkroom.state import read_state
from darkroom.status_command import status
from darkroom.up import Fixed, run_command, run_up
from jobs.environment import BadSetting, required
from jobs.errors import JobsError
from jobs.inputs import Task
from jobs.status import Status
from records.errors import RecordsError
from records.keys import DEFAULT_TENANT
from records.webhook import WebhookKeys

app = typer.Typer(
    help="Darkroom: asynchronous image generation.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(jobs_app, name="jobs", help="Look at jobs, cancel and delete them.")
app.add_typer(batch_app, name="batch")
app.command()(cost)
app.command()(render)
app.command()(status)
app.command()(deploy)
app.command()(destroy)
app.command()(permissions)
app.command(name="open")(open_)

app.add_typer(snapshot_app, name="snapshot", help="Snapshots from which GPU nodes start.")
app.add_typer(dlq_app, name="dlq", help="Messages put aside: look, send again, throw away.")

DEFAULT_PROMPT = "a yellow circle above a green square on a blue background"


@app.command()
def up(
    api_port: Annotated[int | None, typer.Option(help="port of the API")] = None,
    ui_port: Annotated[int | None, typer.Option(help="port of the web page")] = None,
    as_json: Json = False,
) -> None:
    """Start the whole system here; Ctrl-C drains and stops it."""
    run_up(Fixed(api=api_port, ui=ui_port), as_json=as_json)


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def execute(command: Annotated[list[str], typer.Argument(help="after --")]) -> None:
    """Start the whole system, run a command against it, stop; the command's exit status."""
    raise typer.Exit(run_command(command))


@app.command()
def demo(
    prompt: Annotated[str, typer.Argument(help="what the image shows")] = DEFAULT_PROMPT,
    out: Annotated[Path, typer.Option(help="where the image goes")] = Path("out"),
    as_json: Json = False,
) -> None:
    """Start everything, make one image, show how, stop everything."""
    with ExitStack() as closing:
        with waiting("starting AWS (emulated), Ray Serve, API and bridge ..."):
            stack = closing.enter_context(Stack.running(StackOptions(ui=False)))
        closing.callback(people.print, "stopping ...")
        people.print(f'"{prompt}"', markup=False)
        shown = run_demo(stack, prompt=prompt, out=out)
    _show_demo(shown, as_json=as_json)


def _show_demo(shown: Demo, *, as_json: bool) -> None:
    people.print(timeline_table(shown.view))
    people.print(f"from POST to notice: {shown.post_to_notice_s:.1f} s\n")
    for warning in shown.view.warnings:
        people.print(f"note: {warning}", markup=False)
    emit(
        {
            "images": [str(path) for path in shown.images],
            "post_to_notice_s": round(shown.post_to_notice_s, 3),
            "timeline_s": {name: round(at, 3) for name, at in shown.timeline},
            "notice": shown.notice,
        },
        as_json=as_json,
        otherwise="\n".join(str(path) for path in shown.images),
    )


@app.command()
def submit(
    prompt: Annotated[str, typer.Argument(help="what the image shows")],
    model: Annotated[str | None, typer.Option(help="one of `GET /v1/models`")] = None,
    task: Annotated[Task, typer.Option(help="what to do")] = Task.TEXT_TO_IMAGE,
    image: Annotated[Path | None, typer.Option(help="picture to start from")] = None,
    mask: Annotated[Path | None, typer.Option(help="white: paint anew")] = None,
    seed: Annotated[int | None, typer.Option(help="the same seed gives the same image")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="until it has ended")] = False,
    out: Annotated[Path | None, typer.Option(help="download to here; implies --wait")] = None,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Post a job."""
    wanted: dict[str, Any] = {"task": task.value, "prompt": prompt}
    if seed is not None:
        wanted["seed"] = seed
    if image is not None:
        wanted["image"] = picture(image)
    if mask is not None:
        wanted["mask_image"] = picture(mask)
    request = {"input": wanted} | ({"model": model} if model else {})
    with connected(url, key) as client:
        view = client.submit(request)
        written: list[Path] = []
        if wait or out:
            view = follow(client.watch(view.uid))
            written = download(client, view, out) if out else []
    document = view.model_dump(mode="json") | {"files": [str(path) for path in written]}
    emit(document, as_json=as_json, otherwise="\n".join(map(str, written)) or view.uid)
    if view.done and view.status is not Status.SUCCEEDED:
        people.print(f"{view.status}: {view.error.message if view.error else ''}", markup=False)
        raise typer.Exit(1)


@app.command()
def webhook_secret(
    tenant: Annotated[str, typer.Argument(help="whose jobs are called back")] = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """The secret with which a tenant verifies our webhooks, from DARKROOM_WEBHOOK_KEYS."""
    keys = WebhookKeys.from_text(required(os.environ, "DARKROOM_WEBHOOK_KEYS"))
    secrets = keys.secrets(tenant)
    emit({"tenant": tenant, "secrets": secrets}, as_json=as_json, otherwise=secrets[0])


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, and what of a running stack answers."""
    checks = examine(read_state())
    rows = [(check.name, ("" if check.ok else "✗ ") + check.found) for check in checks]
    if not as_json:
        people.print(pairs_table(rows))
    emit([vars(check) for check in checks], as_json=as_json, otherwise="")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; the exit status tells how it went."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status of a command line."""
    # Told to end, we stop what we started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Nothing on this machine goes through a proxy, whatever library asks.
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
    try:
        # Typer explains wrong usage (2) and ends by itself, at Ctrl-C with 130.
        app(arguments, prog_name="darkroom")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except (ClientError, JobFailed) as error:
        people.print(str(error), markup=False)
        return 1
    except (DarkroomError, BadSetting, JobsError, RecordsError) as error:
        people.print(str(error), markup=False)
        return 2
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        people.print(f"{place}{error.strerror or error}", markup=False)
        return 2
    return 0
