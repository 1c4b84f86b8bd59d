"""What the tests of the page's login share: a page that says it is exposed, in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.ports import HOST, Ports

PASSWORD = "correct-horse"


@contextmanager
def guarded_page(folder: Path) -> Iterator[str]:
    """Its URL; no API is behind it."""
    environ = {
        **os.environ,
        "DARKROOM_API_URL": f"http://{HOST}:9",
        "DARKROOM_UI_EXPOSED": "1",
        "DARKROOM_UI_PASSWORD": PASSWORD,
        "DARKROOM_UI_PORT": str(Ports.free().ui),
        "TMPDIR": str(folder),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gradio_ui"], env=environ, stdout=subprocess.PIPE, text=True
    )
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()
