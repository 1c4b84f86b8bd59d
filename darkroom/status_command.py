"""`darkroom status`: everything that scales, on one screen."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.live import Live

from darkroom.deploy.named import named
from darkroom.errors import DarkroomError, NoStack
from darkroom.names import NAMESPACE, bridges_of
from darkroom.output import Json, emit
from darkroom.parking import local_client
from darkroom.screen import pairs_table, people
from darkroom.serve_state import Deployment, deployments
from darkroom.situation import Situation
from darkroom.state import read_state
from records.aws import SqsQueue
from records.connect import connect as connect_aws
from records.errors import RecordsError, translated

if TYPE_CHECKING:
    from darkroom.kuberay import KubeRay
    from darkroom.workloads import Workloads

#: Seconds between two looks of `--watch`.
_WATCH_S = 2.0
T = TypeVar("T")


class On(StrEnum):
    """Which installation a command is about."""

    HERE = "here"
    CLUSTER = "cluster"


def status(
    on: Annotated[On | None, typer.Option(help="default: here if a stack is up")] = None,
    runtime: Annotated[str, typer.Option(help="one of runtimes.yaml")] = "demo",
    name: Annotated[str | None, typer.Option(help="of an installation that was deployed")] = None,
    region: Annotated[str, typer.Option(help="its AWS region")] = "us-west-2",
    watch: Annotated[bool, typer.Option("--watch", help="again and again, until Ctrl-C")] = False,
    as_json: Json = False,
) -> None:
    """Queue, bridges, replicas, workers, nodes; what is pending and why.

    With --name all is found by that. Else on a cluster it asks the one that the kubeconfig names;
    DARKROOM_QUEUE_URL adds the queue, DARKROOM_DASHBOARD_URL and RAY_AUTH_TOKEN
    (`darkroom open dashboard`) each replica.
    """
    if name is not None and on is On.HERE:
        raise DarkroomError("--name is of an installation on AWS, --on here of this machine's")
    with _looking(on, name, region, runtime) as look:
        if not watch:
            situation = look()
            if not as_json:
                people.print(pairs_table(situation.rows()))
            emit(situation.document(), as_json=as_json, otherwise="")
            return
        with Live(console=people, auto_refresh=False) as live:
            while True:
                live.update(pairs_table(look().rows()), refresh=True)
                time.sleep(_WATCH_S)


@contextmanager
def _looking(
    on: On | None, name: str | None, region: str, runtime: str
) -> Iterator[Callable[[], Situation]]:
    """How to look, once or again and again."""
    if name is None:
        on = on or (On.HERE if read_state() else On.CLUSTER)
        look = of_stack if on is On.HERE else of_cluster
        yield lambda: look(runtime, os.environ)
        return
    reach = partial(connect_aws, region_name=region)
    with named(name, region, runtime, reach) as found:
        yield lambda: of_cluster(
            runtime, found.environ, kubeconfig=found.kubeconfig, silent=found.silent
        )


def of_stack(runtime: str, environ: Mapping[str, str]) -> Situation:
    """The stack that is up on this machine."""
    state = read_state()
    queues, operator = state.get("queues"), state.get("operator")
    if not isinstance(queues, dict) or not isinstance(operator, dict) or runtime not in queues:
        raise NoStack(f"no stack with a runtime {runtime!r} is up here: start `darkroom up`")
    ask = _Asking()
    queue = SqsQueue(local_client(operator)("sqs"), queues[runtime])
    url, token = str(state["dashboard"]), str(state["ray_token"])
    return Situation(
        runtime=runtime,
        queue=ask("queue", queue.depth),
        deployments=_of(runtime, ask("serve", lambda: deployments(url, token))),
        silent=ask.silent,
    )


def of_cluster(
    runtime: str,
    environ: Mapping[str, str],
    *,
    kubeconfig: Path | None = None,
    silent: Mapping[str, str] | None = None,
) -> Situation:
    """The cluster that the kubeconfig names; `silent` is what is known not to answer."""
    # Here: the client of Kubernetes takes a second to import, which no other command needs.
    from darkroom.kuberay import KubeRay, connect  # noqa: PLC0415
    from darkroom.workloads import Workloads  # noqa: PLC0415

    api = connect(kubeconfig)
    kuberay, workloads = KubeRay(api, NAMESPACE), Workloads(api, NAMESPACE)
    found = cluster_situation(runtime, kuberay, workloads, environ)
    return replace(found, silent={**(silent or {}), **found.silent})


def cluster_situation(
    runtime: str, kuberay: "KubeRay", workloads: "Workloads", environ: Mapping[str, str]
) -> Situation:
    """As `of_cluster`, over connections that are given. Who may not read all sees the rest."""
    ask = _Asking()
    url, queue_url = environ.get("DARKROOM_DASHBOARD_URL"), environ.get("DARKROOM_QUEUE_URL")
    token = environ.get("RAY_AUTH_TOKEN")
    serve = ask("serve", lambda: deployments(url, token)) if url else None
    depth = ask("queue", _depth_of(queue_url, environ)) if queue_url else None
    return Situation(
        runtime=runtime,
        queue=depth,
        service=ask("service", lambda: kuberay.service(runtime)),
        bridges_wanted=ask(
            "bridge",
            lambda: sum(workloads.replicas_wanted(name) for name in bridges_of(runtime)),
        ),
        deployments=_of(runtime, serve),
        pods=ask("pods", lambda: workloads.pods(runtime)),
        nodes=ask("nodes", workloads.nodes),
        warnings=ask("events", workloads.warnings) or (),
        silent=ask.silent,
    )


def _depth_of(queue_url: str, environ: Mapping[str, str]) -> Callable[[], tuple[int, int]]:
    where: dict[str, Any] = {}  # boto3 has defaults of its own for what is not said
    if "AWS_REGION" in environ:
        where["region_name"] = environ["AWS_REGION"]

    def depth() -> tuple[int, int]:
        with translated("SQS"):
            return SqsQueue(connect_aws("sqs", **where), queue_url).depth()

    return depth


def _of(runtime: str, found: list[Deployment] | None) -> list[Deployment]:
    return [each for each in found or () if each.app == runtime]


class _Asking:
    """Asks one after the other; what does not answer is noted and does not end the rest."""

    def __init__(self) -> None:
        self.silent: dict[str, str] = {}

    def __call__(self, name: str, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except (DarkroomError, RecordsError) as error:
            self.silent[name] = str(error)
            return None
