"""What the page's process is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from jobs.environment import BadSetting, number, required


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the API is, and where the page is to be served."""

    api_url: str
    api_key: str | None = field(default=None, repr=False)
    #: Loopback unless said otherwise: without a password the page has no login.
    host: str = "127.0.0.1"
    port: int = 7860
    #: Of its one user.
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; `BadSetting` names the variable to correct."""
        password = environ.get("DARKROOM_UI_PASSWORD") or None
        if environ.get("DARKROOM_UI_EXPOSED") and password is None:
            raise BadSetting(
                "DARKROOM_UI_PASSWORD: wanted, as DARKROOM_UI_EXPOSED says that others than this "
                "machine reach the page"
            )
        return cls(
            api_url=required(environ, "DARKROOM_API_URL"),
            api_key=environ.get("DARKROOM_API_KEY") or None,
            host=environ.get("DARKROOM_UI_HOST") or cls.host,
            port=int(number(environ, "DARKROOM_UI_PORT", cls.port, least=1)),
            password=password,
        )
