"""`python -m gradio_ui`: serve the page until SIGTERM or Ctrl-C."""

import json
import os
import signal
import sys
import tempfile
import threading
from typing import Any

from client import Client
from gradio_ui.login import asked
from gradio_ui.page import Page
from gradio_ui.policy import SecurityHeaders
from gradio_ui.settings import Settings
from gradio_ui.theme import ALWAYS_DARK, CSS, theme
from jobs.environment import BadSetting

#: Jobs that visitors may watch at once: the work is elsewhere, here it only waits.
_WATCHED_AT_ONCE = 20
#: Two pictures in base64 then still fit the 6 MB that a Lambda takes; they are scaled down
#: to the model's bounds before.
_MAX_UPLOAD = "16mb"


def main() -> int:
    """Serve, and say so in one JSON line when the page can be opened."""
    try:
        settings = Settings.from_env(os.environ)
    except BadSetting as error:
        print(error, file=sys.stderr)  # noqa: T201  # the command's answer
        return 2
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-ui-") as folder,
        Client(settings.api_url, api_key=settings.api_key) as client,
    ):
        # Gradio's own, for uploads and pictures; nothing is left when the page stops.
        os.environ["GRADIO_TEMP_DIR"] = folder
        blocks = Page(client).blocks
        blocks.queue(default_concurrency_limit=_WATCHED_AT_ONCE)
        try:
            blocks.launch(
                server_name=settings.host,
                server_port=settings.port,
                **asked(settings.password),
                **_launch(),
            )
        except OSError as error:
            print(f"cannot listen on {settings.host}:{settings.port}: {error}", file=sys.stderr)  # noqa: T201
            return 1
        print(json.dumps({"ready": True, "url": blocks.local_url.rstrip("/")}), flush=True)  # noqa: T201
        stopped.wait()
        blocks.close(verbose=False)
    return 0


def _launch() -> dict[str, Any]:
    """How the page is shown, and everything shut that Gradio could open."""
    return {
        "theme": theme(),
        "css_paths": CSS,
        "head": ALWAYS_DARK,
        "footer_links": [],
        "prevent_thread_lock": True,
        "quiet": True,
        "share": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "run_history": False,
        "enable_monitoring": False,
        "allowed_paths": [],
        "max_file_size": _MAX_UPLOAD,
        "app_kwargs": {"middleware": [SecurityHeaders.middleware()]},
    }


if __name__ == "__main__":
    sys.exit(main())
