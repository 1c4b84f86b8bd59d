"""The RayService that a bridge works with, as Kubernetes' API has it, over plain HTTP.

Two calls do not pay for Kubernetes' own client, which is larger than all the rest of a bridge.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx

from bridge.errors import ClusterUnavailable

#: Where Kubernetes puts what a pod needs to speak with it.
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_API = "https://kubernetes.default.svc"
_CALL_S = 10
#: Written whenever a bridge comes up: who read the object before is refused to suspend it now.
AWAKE_AT = "darkroom/awake-at"


class RayService:
    """One RayService."""

    def __init__(
        self, http: httpx.AsyncClient, namespace: str, name: str, *, token: Path | None = None
    ) -> None:
        self._http = http
        self._path = f"/apis/ray.io/v1/namespaces/{namespace}/rayservices/{name}"
        self._token = token

    @classmethod
    def in_cluster(cls, place: str) -> Self:
        """By this pod's service account; `place` is `<namespace>/<name>`."""
        namespace, _, name = place.partition("/")
        trusted = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
        http = httpx.AsyncClient(base_url=_API, verify=trusted, timeout=_CALL_S, trust_env=False)
        return cls(http, namespace, name, token=_ACCOUNT / "token")

    async def asleep(self) -> bool:
        """Whether it is suspended, is being, or is wanted to be."""
        document = await self._call("GET")
        conditions = document.get("status", {}).get("conditions", [])
        on = {each["type"] for each in conditions if each["status"] == "True"}
        return bool(document["spec"].get("suspend")) or bool(on & {"Suspending", "Suspended"})

    async def wake(self) -> None:
        """Say that it is needed. The object changes by that in any case."""
        now = datetime.now(UTC).isoformat()
        body = {"metadata": {"annotations": {AWAKE_AT: now}}, "spec": {"suspend": False}}
        await self._call("PATCH", body)

    async def _call(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"content-type": "application/merge-patch+json"}
        try:
            if self._token is not None:
                # Anew each time: Kubernetes replaces it every hour.
                headers["authorization"] = f"Bearer {self._token.read_text().strip()}"
            answer = await self._http.request(method, self._path, json=body, headers=headers)
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise ClusterUnavailable(f"{method} {self._path}: {error}") from error
        return document

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()
