"""`darkroom dlq ...`"""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from darkroom.output import Json, emit
from darkroom.parked import chosen, parked, replay
from darkroom.parking import Parking
from darkroom.screen import pairs_table, people
from records.parked import Parked

dlq_app = typer.Typer(no_args_is_help=True)
Runtime = Annotated[str | None, typer.Option(help="whose messages; default: the first runtime")]
Names = Annotated[list[str] | None, typer.Argument(help="uids, or ids of messages")]
Everything = Annotated[bool, typer.Option("--all", help="all that are parked")]


@dlq_app.command(name="list")
def list_parked(runtime: Runtime = None, as_json: Json = False) -> None:
    """The messages that were put aside, oldest first."""
    with parked(Parking.find(runtime, os.environ)) as found:
        shown = [_shown(each) for each in found]
    if not as_json:
        people.print(
            pairs_table((each["name"], f"{each['at']}  {each['reason']}") for each in shown)
        )
    emit(shown, as_json=as_json, otherwise="")


@dlq_app.command()
def show(
    name: Annotated[str, typer.Argument(help="a uid, or the id of a message")],
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """One message, with its body."""
    with parked(Parking.find(runtime, os.environ)) as found:
        [message, *_] = chosen(found, [name], everything=False)
    document = _shown(message) | {"body": message.delivery.body}
    if not as_json:
        people.print(pairs_table(document.items()))
    emit(document, as_json=as_json, otherwise="")


@dlq_app.command(name="replay")
def replay_parked(
    names: Names = None,
    everything: Everything = False,
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Make a new job of each; the one that failed stays failed."""
    on, made = Parking.find(runtime, os.environ), {}
    with parked(on) as found:
        for message in chosen(found, names or [], everything=everything):
            made[message.name] = replay(on, message)
    emit(made, as_json=as_json, otherwise="\n".join(made.values()))


@dlq_app.command()
def purge(
    names: Names = None,
    everything: Everything = False,
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Throw messages away; what became of their jobs stays known."""
    on = Parking.find(runtime, os.environ)
    with parked(on) as found:
        gone = chosen(found, names or [], everything=everything)
        for message in gone:
            on.parked.delete(message.delivery)
    purged = sorted({message.name for message in gone})
    emit({"purged": purged}, as_json=as_json, otherwise=f"purged {len(gone)}")


def _shown(message: Parked) -> dict[str, Any]:
    at = datetime.fromtimestamp(message.delivery.sent_ms / 1000, UTC)
    return {
        "name": message.name,
        "uid": message.uid,
        "message_id": message.delivery.message_id,
        "at": at.isoformat(timespec="seconds"),
        "reason": message.reason,
    }
