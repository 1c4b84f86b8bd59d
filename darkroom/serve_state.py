"""What Ray Serve says of its deployments, by the dashboard's REST API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from darkroom.errors import ServeSilent

_CALL_S = 10


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One deployment of an application."""

    app: str
    name: str
    status: str
    message: str
    wanted: int
    #: How many there are in each of Serve's states.
    replicas: Mapping[str, int]

    @property
    def there(self) -> int:
        """Replicas in whatever state."""
        return sum(self.replicas.values())


def deployments(
    dashboard_url: str, token: str | None, *, transport: httpx.BaseTransport | None = None
) -> list[Deployment]:
    """All deployments; `ServeSilent` if the dashboard does not answer as it should."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    url = f"{dashboard_url.rstrip('/')}/api/serve/applications/"
    try:
        with httpx.Client(timeout=_CALL_S, trust_env=False, transport=transport) as http:
            answer = http.get(url, headers=headers)
        answer.raise_for_status()
        applications = answer.json()["applications"]
        return [
            _deployment(app, name, details)
            for app, application in applications.items()
            for name, details in application["deployments"].items()
        ]
    except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServeSilent(f"{url}: {type(error).__name__} {error}") from error


def _deployment(app: str, name: str, details: Mapping[str, Any]) -> Deployment:
    counts: dict[str, int] = {}
    for replica in details["replicas"]:
        counts[replica["state"]] = counts.get(replica["state"], 0) + 1
    return Deployment(
        app=app,
        name=name,
        status=details["status"],
        message=details["message"],
        wanted=int(details["target_num_replicas"]),
        replicas=counts,
    )
