"""Where the running local stack is written down, for the commands in other terminals."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import NoStack

#: In the directory where `darkroom up` was started.
STATE = Path(".cache/darkroom/stack.json")


@dataclass(frozen=True, kw_only=True)
class Address:
    """An API and the key for it."""

    url: str
    key: str | None


def write_state(description: Mapping[str, object]) -> None:
    """Note a running stack. The file holds its key, so it is for this user only."""
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.touch(mode=0o600)
    STATE.write_text(json.dumps({**description, "pid": os.getpid()}))


def remove_state() -> None:
    """Forget the stack that this process wrote down."""
    if read_state().get("pid") == os.getpid():
        STATE.unlink(missing_ok=True)


def read_state() -> dict[str, object]:
    """What was written down, or nothing."""
    try:
        found: dict[str, object] = json.loads(STATE.read_text())
    except (OSError, ValueError):
        return {}
    return found


def find_api(url: str | None, key: str | None, environ: Mapping[str, str]) -> Address:
    """The API to talk to: as said, else by the environment, else the local stack."""
    state = read_state()
    url = url or environ.get("DARKROOM_API_URL")
    if url:
        return Address(url=url, key=key or environ.get("DARKROOM_API_KEY"))
    if not state:
        raise NoStack("no API is known: start `darkroom up`, or set DARKROOM_API_URL")
    return Address(url=str(state["api"]), key=key or str(state["api_key"]))
