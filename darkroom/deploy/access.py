"""How this machine reaches the cluster: kubeconfig, and ports forwarded to here."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.deploy.cluster import Cluster, write_kubeconfig
from darkroom.deploy.errors import DeployError, NotReady, translated_here
from darkroom.deploy.program import KUBECTL, find
from darkroom.deploy.step import Standing
from darkroom.names import NAMESPACE

#: What can be opened -> (service, its port, the port here). `{runtime}` is filled in.
TARGETS = {
    "ui": ("ui", 80, 7860),
    "dashboard": ("{runtime}-head-svc", 8265, 8265),
    "serve": ("{runtime}-serve-svc", 8000, 8000),
}


@dataclass(frozen=True, kw_only=True)
class KubeAccess:
    """The kubeconfig of this installation's own: nobody's current context changes."""

    eks: Any
    cluster: Cluster
    installation: str
    region: str

    name = "access to the cluster"
    takes = "seconds"

    def check(self) -> Standing:
        """Never done: the cluster may be another one by now."""
        return Standing(done=False)

    def apply(self) -> None:
        """Write it, and ask the cluster for something."""
        path: Path = self.cluster.kubeconfig
        if not write_kubeconfig(self.eks, self.installation, self.region, path):
            raise NotReady(f"EKS knows no cluster {self.installation} in {self.region}")
        try:
            self.cluster.kubectl("get", "--raw", "/readyz")
        except DeployError as error:
            raise NotReady(
                f"{error}\nThe cluster's endpoint is open to --admin-cidr only, which holds until "
                "another is said. Is this machine among them? If not, say its address, or "
                '--admin-cidr "" to have it looked up. And is who we are one of its administrators?'
            ) from error

    def undo(self) -> None:
        """Forget it."""
        self.cluster.kubeconfig.unlink(missing_ok=True)


def forwarding(target: str, runtime: str, port: int | None) -> tuple[list[str], str]:
    """kubectl's arguments, and the address that they open here."""
    service, there, usual = TARGETS[target]
    here = port or usual
    arguments = [
        "port-forward", "-n", NAMESPACE, "--address", "127.0.0.1",
        f"service/{service.format(runtime=runtime)}", f"{here}:{there}",
    ]  # fmt: skip
    return arguments, f"http://127.0.0.1:{here}"


@contextmanager
def forwarded(cluster: Cluster, arguments: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A port of the cluster on this machine, until the block ends."""
    kubectl = find(KUBECTL, cluster.programs.environ.get("PATH")).usable()
    process = subprocess.Popen(  # noqa: S603  # kubectl
        [kubectl, *arguments],
        env={**cluster.programs.environ, **cluster.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        with translated_here():
            process.wait(10)
