"""A picture from a file, as the API takes it."""

import base64
from pathlib import Path

from darkroom.errors import DarkroomError


def picture(path: Path) -> str:
    """The file's bytes as base64."""
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise DarkroomError(f"cannot read {path}: {error.strerror}") from error
