"""Secrets of the cluster, from Secrets Manager: by standard input, in no file, in no log."""

import base64
from dataclasses import dataclass
from typing import Any

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.exposure import UI_PASSWORD
from darkroom.deploy.step import Standing
from darkroom.names import NAMESPACE
from records.errors import translated

#: Secret in the cluster -> (its key, the last part of the name in Secrets Manager).
SECRETS = {
    "ray-token": ("auth_token", "ray-token"),
    "webhook-signing": ("keys", "webhook-signing"),
    "ui-api-key": ("key", "first-key"),
}
_ABSENT = frozenset({"ResourceNotFoundException"})
#: There only with a load balancer.
_LOGIN = {UI_PASSWORD: ("password", UI_PASSWORD)}


@dataclass(frozen=True, kw_only=True)
class KubernetesSecrets:
    """Those that pods read."""

    cluster: Cluster
    secrets: Any
    installation: str
    #: Whether the page has a login.
    exposed: bool = False

    name = "Kubernetes Secrets"
    takes = "seconds"

    def check(self) -> Standing:
        """Whether they have Secrets Manager's values."""
        for name, (key, source) in self._wanted().items():
            found = self.cluster.get("secret", name, namespace=NAMESPACE)
            if found is None or found.get("data", {}).get(key) != _encoded(self._value(source)):
                return Standing(done=False)
        return Standing(done=True)

    def apply(self) -> None:
        """Write all of them; the namespace first, which the manifests have, too."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        if self.cluster.get("namespace", NAMESPACE) is None:
            self.cluster.apply_text([namespace])
        self.cluster.apply_text(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": name, "namespace": NAMESPACE},
                    "data": {key: _encoded(self._value(source))},
                }
                for name, (key, source) in self._wanted().items()
            ]
        )

    def undo(self) -> None:
        """Nothing: they go with the cluster."""

    def _wanted(self) -> dict[str, tuple[str, str]]:
        return SECRETS | (_LOGIN if self.exposed else {})

    def _value(self, source: str) -> str:
        return read_secret(self.secrets, self.installation, source)


def read_secret(secrets: Any, installation: str, name: str) -> str:
    """One of an installation's, from Secrets Manager; `ObjectMissing` if it has none so called."""
    secret = f"{installation}/{name}"
    with translated(f"Secrets Manager, {secret}", missing=_ABSENT):
        return str(secrets.get_secret_value(SecretId=secret)["SecretString"])


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
