"""Karpenter, KEDA and KubeRay: other people's software, by their own charts at fixed versions."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.errors import ProgramFailed
from darkroom.deploy.step import Standing

_WAIT_S = 600
#: What Helm, 3 and 4, says of a release that was never installed.
_UNKNOWN = "release: not found"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of one release; the head of manifests/operators/<operator>.yaml says the same."""

    name: str
    version: str
    #: A repository's URL, or the chart's own in a registry.
    source: str
    namespace: str
    release: str

    def arguments(self) -> list[str]:
        """What Helm wants to know to find it."""
        if self.source.startswith("oci://"):
            return [self.source, "--version", self.version]
        return [self.name, "--repo", self.source, "--version", self.version]


#: In this order: without Karpenter the others find no node once there is more than one.
_CHARTS = {
    "karpenter": Chart(
        name="karpenter",
        version="1.14.1",
        source="oci://public.ecr.aws/karpenter/karpenter",
        namespace="kube-system",
        release="karpenter",
    ),
    "keda": Chart(
        name="keda",
        version="2.20.2",
        source="https://kedacore.github.io/charts",
        namespace="keda",
        release="keda",
    ),
    "kuberay": Chart(
        name="kuberay-operator",
        version="1.7.0",
        source="https://ray-project.github.io/kuberay-helm/",
        namespace="kuberay-system",
        release="kuberay-operator",
    ),
}
OPERATORS = tuple(_CHARTS)


def chart_of(operator: str) -> Chart:
    """The chart of one operator."""
    return _CHARTS[operator]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator as its chart installs it, with our values."""

    cluster: Cluster
    operator: str
    #: Rendered: nothing is open in it.
    values: Path

    takes = "a minute or two"

    @property
    def name(self) -> str:
        chart = chart_of(self.operator)
        return f"{self.operator} {chart.version}"

    def check(self) -> Standing:
        """Whether this version runs with these values."""
        chart = chart_of(self.operator)
        found = self._release()
        if found is None or found["status"] != "deployed":
            return Standing(done=False, says=found["status"] if found else "")
        if found["chart"] != f"{chart.name}-{chart.version}":
            return Standing(done=False, says=f"{found['chart']} is there")
        text = self.cluster.helm(
            "get", "values", chart.release, "-n", chart.namespace, "-o", "json"
        )
        same = (json.loads(text) or {}) == yaml.safe_load(self.values.read_text("utf-8"))
        return Standing(done=same, says="" if same else "with other values")

    def apply(self) -> None:
        """Install or upgrade, and wait for its pods. Its definitions are there already."""
        chart = chart_of(self.operator)
        found = self._release()
        if found is not None and found["status"].startswith("pending"):
            # A Helm that was killed leaves this behind, and refuses to go on from it.
            self._clear(chart, found["status"])
        self.cluster.helm(
            "upgrade", "--install", chart.release, *chart.arguments(), "-n", chart.namespace,
            "--create-namespace", "--skip-crds", "-f", str(self.values), "--wait",
            "--timeout", f"{_WAIT_S}s", limit_s=_WAIT_S + 120,
        )  # fmt: skip

    def undo(self) -> None:
        """Uninstall; its definitions stay, and go with the cluster."""
        chart = chart_of(self.operator)
        self.cluster.helm(
            "uninstall", chart.release, "-n", chart.namespace, "--ignore-not-found", "--wait"
        )

    def _release(self) -> dict[str, str] | None:
        chart = chart_of(self.operator)
        # Not `list`: Helm 3 hides what is pending without -a, and Helm 4 refuses that.
        asked = ("history", chart.release, "-n", chart.namespace, "--max", "1", "-o", "json")
        try:
            [last] = json.loads(self.cluster.helm(*asked))
        except ProgramFailed as failed:
            if _UNKNOWN in str(failed):
                return None
            raise
        return dict(last)

    def _clear(self, chart: Chart, status: str) -> None:
        # Its first installation was killed: there is no earlier one to go back to. Any other one
        # has work in its care, and is never uninstalled for a rollback that failed.
        verb = "uninstall" if status == "pending-install" else "rollback"
        self.cluster.helm(verb, chart.release, "-n", chart.namespace, "--wait")


def operators_of(cluster: Cluster, manifests: Path) -> list[Operator]:
    """All, in the order of their installation, with the values of a rendered folder."""
    return [
        Operator(cluster=cluster, operator=name, values=manifests / f"operators/{name}.yaml")
        for name in OPERATORS
    ]
