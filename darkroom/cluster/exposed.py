"""What of the cluster a load balancer reaches: Services on ports of the nodes, and their policies.

By everybody only the page: it has a login. Serve has none, and Ray's dashboard starts code.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.cluster import network
from darkroom.cluster.errors import NotRenderable
from darkroom.cluster.network import Flow, Peer
from darkroom.cluster.template import filled
from darkroom.names import COMPONENT, EXPOSURE, RUNTIME

#: Of the policies and Services that only a load balancer needs.
PREFIX = "exposed-"
#: In the place of a load balancer's addresses, where there is none.
STAND_IN = ("10.0.192.0/20", "10.0.208.0/20", "10.0.224.0/20")


@dataclass(frozen=True, kw_only=True)
class Exposed:
    """A load balancer, as Terraform tells of it."""

    mode: str
    runtime: str
    #: Of its own addresses.
    networks: Sequence[str]
    #: What it leads to -> the port on the nodes.
    node_ports: Mapping[str, int]
    #: The same -> where people find it.
    urls: Mapping[str, str]

    def __post_init__(self) -> None:
        unknown = self.node_ports.keys() - network.WAYS_IN.keys()
        if unknown:
            raise NotRenderable(f"Terraform exposes {', '.join(sorted(unknown))}: not known here")
        if self.mode == "public" and set(self.node_ports) != {"ui"}:
            raise NotRenderable("by everybody only the page is reached: it alone has a login")

    def services(self, template: Path, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One for each that it leads to."""
        return [
            each
            for name, node_port in self.node_ports.items()
            for each in filled(template, {**values, "way": self._way(name, node_port)})
        ]

    def policies(self) -> list[dict[str, Any]]:
        """The network policies that let it in."""
        found = network.policies(flows(self.node_ports, self.networks), prefix=PREFIX)
        for each in found:
            each["metadata"]["labels"][EXPOSURE] = self.mode
        return found

    def _way(self, name: str, node_port: int) -> dict[str, Any]:
        target, port = network.WAYS_IN[name]
        selector = {COMPONENT: target.name}
        if target == network.HEAD:
            selector[RUNTIME] = self.runtime
        if name == "serve":
            # KubeRay's, of a head whose Serve is well: in an upgrade there are two heads.
            selector["ray.io/serve"] = "true"
        return {
            "name": name,
            "mode": self.mode,
            "component": target.name,
            "selector": selector,
            "port": port,
            "node_port": node_port,
        }


def stand_in(mode: str, runtime: str) -> Exposed:
    """One that is nowhere, for a check without AWS."""
    ways = ["ui"] if mode == "public" else list(network.WAYS_IN)
    node_ports = {name: 30080 + number for number, name in enumerate(ways)}
    return Exposed(mode=mode, runtime=runtime, networks=STAND_IN, node_ports=node_ports, urls={})


def flows(ways: Iterable[str], networks: Sequence[str]) -> list[Flow]:
    """Rows for the allow matrix: from `networks` to what the load balancer leads to."""
    balancer = Peer("load-balancer", cidrs=tuple(networks))
    return [
        Flow(balancer, *_target(name), f"`deploy --expose` shows {name} to others") for name in ways
    ]


def _target(name: str) -> tuple[Peer, tuple[int]]:
    target, port = network.WAYS_IN[name]
    return target, (port,)
