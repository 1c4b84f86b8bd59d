"""A Ray of our own on this machine, every listener of it on loopback."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from jobs.catalogue import Catalogue
from serve_app import remains
from serve_app.settings import LocalSettings

HOST = "127.0.0.1"
#: Pictures in flight; Ray's own default is a third of the machine.
OBJECT_STORE_BYTES = 256 * 1024 * 1024
#: Ray reads these when it is imported.
_ENVIRONMENT = {
    # The documented way to have a single node bind to loopback only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}


#: Makes the application of the runtime that its argument names, as `serve_app.app.build`.
Build = Callable[[dict[str, str]], Any]


@contextmanager
def running(
    settings: LocalSettings, catalogue: Catalogue, build: Build | None = None
) -> Iterator[None]:
    """Ray with one Serve application per runtime, from here to the end of the block.

    `build` makes another application than ours.
    """
    os.environ.update(_ENVIRONMENT, RAY_AUTH_TOKEN=settings.token, PYTHONPATH=_python_path())
    # Not before the environment stands.
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    from serve_app import app  # noqa: PLC0415

    ray.init(
        num_cpus=_cpus(catalogue),
        include_dashboard=True,
        dashboard_host=HOST,
        dashboard_port=settings.dashboard_port,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": "serve_app.loopback.bind_replicas"},
        _temp_dir=str(settings.temp),
    )
    try:
        serve.start(
            http_options={"host": HOST, "port": settings.serve_port}, proxy_location="HeadOnly"
        )
        for name in catalogue.runtimes:
            serve.run((build or app.build)({"runtime": name}), name=name, route_prefix=f"/{name}")
        yield
    finally:
        below = psutil.Process().children(recursive=True)
        # Ends the processes that we started, at once: `serve.shutdown` would wait for jobs,
        # and `ray stop` would end every Ray on this machine.
        ray.shutdown()
        # It kills a raylet that needs more than a second, as one may on a busy machine, and then
        # looks after nothing below it: seen on CI, where something lived on for ten seconds.
        remains.end(below)


def _python_path() -> str:
    """PYTHONPATH with our packages: the setup hook runs before workers get the driver's path."""
    ours = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))


def _cpus(catalogue: Catalogue) -> int:
    """What all replicas together ask for: these CPUs are only Ray's bookkeeping."""
    wanted = sum(r.replicas.max * r.replicas.num_cpus for r in catalogue.runtimes.values())
    return max(1, math.ceil(wanted))
