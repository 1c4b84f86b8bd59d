"""`python -m serve_app`: a Ray of our own with all runtimes, until SIGTERM or SIGINT."""

import json
import os
import signal
import sys
import threading
from contextlib import redirect_stdout
from types import FrameType
from typing import NoReturn

from serve_app.errors import ServeAppError
from serve_app.local_cluster import HOST, Build, running
from serve_app.runtimes import read_catalogue
from serve_app.settings import LocalSettings, ServeSettings

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(build: Build | None = None) -> int:
    """Start, say so on stdout in one line, wait, stop.

    `build` makes another application than ours.
    """
    stop_on_signals()
    try:
        settings = LocalSettings.from_env(os.environ)
        catalogue = read_catalogue(ServeSettings.from_env(os.environ))
        # Ray prints; the one line that others read is to stand alone.
        stdout = sys.stdout
        with redirect_stdout(sys.stderr), running(settings, catalogue, build):
            stop_on_signals()  # Ray has put its own handlers in our place
            ready = {
                "ready": True,
                "serve_url": f"http://{HOST}:{settings.serve_port}",
                "dashboard_url": f"http://{HOST}:{settings.dashboard_port}",
            }
            stdout.write(json.dumps(ready) + "\n")
            stdout.flush()
            threading.Event().wait()
    except ServeAppError as error:
        sys.stderr.write(f"serve_app: {error}\n")
        return 2
    return 0


def stop_on_signals() -> None:
    """Have the first signal unwind the stack, so that Ray is shut down; ignore the others.

    Blocking the signals and `sigwait` would be simpler, but the processes that Ray starts
    would inherit the block and could not be stopped.
    """

    def stop(_: int, __: FrameType | None) -> NoReturn:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
