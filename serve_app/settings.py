"""What the environment says: read once, into frozen objects."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeVar

from serve_app.engine.policy import POLICIES
from serve_app.errors import InvalidSettings

Dtype = Literal["float32", "float16", "bfloat16"]
DTYPES: tuple[Dtype, ...] = ("float32", "float16", "bfloat16")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Where the models are, and on what and how long they run."""

    runtimes: Path = Path("runtimes.yaml")
    #: Paths in runtimes.yaml are relative to it.
    models_root: Path = Path()
    device: str = "cpu"
    dtype: Dtype = "float32"
    #: Which jobs share the next step (engine/policy.py); all but the first are for comparison.
    policy: str = "shortest"
    #: After so long without a job the last replica goes.
    idle_s: float = 300
    #: So long a job waits for a first replica; a GPU node takes minutes to come.
    start_timeout_s: float = 900
    #: The runtime's queue, whose depth says how many replicas there are to be. Without it Serve
    #: decides by the jobs that have reached it.
    queue_url: str | None = None
    #: How often the queue is looked at.
    depth_poll_s: float = 3

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings, or raise `InvalidSettings` with the variable's name."""
        return cls(
            runtimes=Path(environ.get("DARKROOM_RUNTIMES", "runtimes.yaml")),
            models_root=Path(environ.get("DARKROOM_MODELS_ROOT", ".")),
            device=environ.get("DARKROOM_DEVICE", "cpu"),
            dtype=_value(environ, "DARKROOM_DTYPE", _dtype, "float32"),
            policy=_value(environ, "DARKROOM_POLICY", _policy, "shortest"),
            idle_s=_value(environ, "DARKROOM_IDLE_S", _seconds, "300"),
            start_timeout_s=_value(environ, "DARKROOM_START_TIMEOUT_S", _seconds, "900"),
            queue_url=environ.get("DARKROOM_QUEUE_URL") or None,
            depth_poll_s=_value(environ, "DARKROOM_DEPTH_POLL_S", _seconds, "3"),
        )


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """Where `python -m serve_app` puts its own Ray."""

    serve_port: int
    dashboard_port: int
    temp: Path
    #: Of the dashboard and of everything else that can start code.
    token: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings, or raise `InvalidSettings` with the variable's name."""
        return cls(
            serve_port=_value(environ, "DARKROOM_SERVE_PORT", _port),
            dashboard_port=_value(environ, "DARKROOM_DASHBOARD_PORT", _port),
            temp=_value(environ, "DARKROOM_RAY_TEMP", _temp),
            token=environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
        )


def _value(
    environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: str | None = None
) -> T:
    text = environ.get(name, default)
    if text is None:
        raise InvalidSettings(f"{name} is not set")
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidSettings(f"{name} is {text!r}: {error}") from error


def _dtype(text: str) -> Dtype:
    for dtype in DTYPES:
        if text == dtype:
            return dtype
    raise ValueError(f"must be one of {', '.join(DTYPES)}")


def _policy(text: str) -> str:
    if text not in POLICIES:
        raise ValueError(f"must be one of {', '.join(POLICIES)}")
    return text


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError("must be a number of seconds, 0 or more")
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError("must be a port from 1 to 65535")
    return port


#: Linux allows 108 bytes for a socket's path, and Ray adds
#: `/session_2026-11-21_03-15-00_123456_1234567/sockets/plasma_store` to the directory's.
MAX_TEMP_CHARS = 108 - 66


def _temp(text: str) -> Path:
    if not text.startswith("/") or len(text) > MAX_TEMP_CHARS:
        raise ValueError(f"must be an absolute path of at most {MAX_TEMP_CHARS} characters")
    return Path(text)
