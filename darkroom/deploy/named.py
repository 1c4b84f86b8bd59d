"""An installation by its name, for a command that only looks: its cluster, queue and replicas."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from darkroom.deploy.access import forwarded, forwarding
from darkroom.deploy.cluster import Cluster, write_kubeconfig
from darkroom.deploy.errors import Unfit
from darkroom.deploy.program import Programs
from darkroom.deploy.secrets import read_secret
from darkroom.deploy.wanted import Wanted
from darkroom.ports import Ports, is_free
from records.errors import RecordsError, translated

#: Until kubectl forwards, or has said why it does not; it takes a second.
_FORWARD_S = 15


@dataclass(frozen=True, kw_only=True)
class Named:
    """Where everything of an installation is. What could not be found is in `silent`, by name."""

    kubeconfig: Path
    #: The variables of `darkroom status`.
    environ: dict[str, str] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)


@contextmanager
def named(name: str, region: str, runtime: str, connect: Callable[[str], Any]) -> Iterator[Named]:
    """Find it; the Ray dashboard is forwarded until the block ends. `Unfit`: no such cluster."""
    wanted = Wanted(name=name, region=region)
    if not write_kubeconfig(connect("eks"), name, region, wanted.kubeconfig):
        raise Unfit(f"EKS knows no cluster {name} in {region}")
    found = Named(kubeconfig=wanted.kubeconfig, environ={"AWS_REGION": region})
    try:
        with translated(f"SQS GetQueueUrl {name}-{runtime}"):
            url = connect("sqs").get_queue_url(QueueName=f"{name}-{runtime}")["QueueUrl"]
        found.environ["DARKROOM_QUEUE_URL"] = url
    except RecordsError as error:
        found.silent["queue"] = str(error)
    try:
        token = read_secret(connect("secretsmanager"), name, "ray-token")
    except RecordsError as error:
        found.silent["serve"] = str(error)
        yield found
        return
    port = Ports.free().dashboard
    arguments, address = forwarding("dashboard", runtime, port)
    cluster = Cluster(programs=Programs(), kubeconfig=wanted.kubeconfig)
    with forwarded(cluster, arguments) as process:
        deadline = time.monotonic() + _FORWARD_S
        while is_free(port) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if is_free(port):
            # In deep sleep there is no head; kubectl has said so on stderr.
            found.silent["serve"] = "kubectl does not forward the Ray dashboard"
        else:
            found.environ["DARKROOM_DASHBOARD_URL"] = address
            found.environ["RAY_AUTH_TOKEN"] = token
        yield found
