"""The NetworkPolicies that are there against the allow matrix."""

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from darkroom.cluster import exposed, network
from darkroom.cluster.finding import Finding
from darkroom.names import COMPONENT, EXPOSURE

Manifests = Sequence[Mapping[str, Any]]
#: (side, selected pods, peer, port): what one rule of one policy allows.
Edge = tuple[str, str, str, str]
_IMDS = ip_address("169.254.169.254")


def edges(manifests: Manifests) -> dict[Edge, Mapping[str, Any]]:
    """Everything that the policies allow, and by which policy."""
    found: dict[Edge, Mapping[str, Any]] = {}
    for policy in manifests:
        if policy.get("kind") != "NetworkPolicy":
            continue
        spec = policy["spec"]
        pods = json.dumps(spec["podSelector"], sort_keys=True)
        for side, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(side) or ():
                for peer in rule.get(peers) or ["anybody"]:
                    shown = json.dumps(peer, sort_keys=True)
                    for port in rule.get("ports") or [{"port": "any", "protocol": "any"}]:
                        edge = (side, pods, shown, f"{port.get('port')}/{port.get('protocol')}")
                        found[edge] = policy
    return found


def matrix(manifests: Manifests) -> Iterator[Finding]:
    """Neither more nor less is allowed than the table says, and nothing without it."""
    policies = [each for each in manifests if each.get("kind") == "NetworkPolicy"]
    if not any(
        each["spec"]["podSelector"] == {}
        and sorted(each["spec"].get("policyTypes", ())) == ["Egress", "Ingress"]
        and not each["spec"].get("ingress")
        and not each["spec"].get("egress")
        for each in policies
    ):
        yield Finding("network-default-deny", "NetworkPolicy/deny-all", "nothing denies the rest")
    flows = list(network.MATRIX)
    if any(each["metadata"]["name"].startswith("sleep-") for each in policies):
        flows += network.DEEP_SLEEP
    ways = [_way(each) for each in _opened(manifests)]
    flows += exposed.flows([each for each in ways if each in network.WAYS_IN], exposed.STAND_IN)
    allowed = edges(network.policies(flows))
    found = edges(policies)
    for edge in sorted(found.keys() - allowed.keys()):
        yield Finding.of("network-extra-flow", found[edge], f"not in the matrix: {' '.join(edge)}")
    for edge in sorted(allowed.keys() - found.keys()):
        yield Finding.of("network-missing-flow", allowed[edge], f"not allowed: {' '.join(edge)}")


def ways_in(manifests: Manifests) -> Iterator[Finding]:
    """Nodes open a port for a load balancer that is ours only, and for everybody's to the page."""
    for service in _opened(manifests):
        mode = service["metadata"].get("labels", {}).get(EXPOSURE)
        way = _way(service)
        if mode is None or way not in network.WAYS_IN:
            yield Finding.of("network-open-service", service, "a port on every node, for nobody")
        elif mode == "public" and way != "ui":
            yield Finding.of("network-public-service", service, "it has no login")
        elif service["spec"]["selector"].get(COMPONENT) != network.WAYS_IN[way][0].name:
            yield Finding.of("network-public-service", service, f"it leads elsewhere than to {way}")


def _opened(manifests: Manifests) -> list[Mapping[str, Any]]:
    """Services that nodes, or AWS, show to others than pods."""
    return [
        each
        for each in manifests
        if each.get("kind") == "Service" and each["spec"].get("type", "ClusterIP") != "ClusterIP"
    ]


def _way(service: Mapping[str, Any]) -> str:
    return str(service["metadata"]["name"]).removeprefix(exposed.PREFIX)


def imds(manifests: Manifests) -> Iterator[Finding]:
    """Nobody reaches the node's credentials."""
    for edge, policy in edges(manifests).items():
        peer = json.loads(edge[2])
        block = peer.get("ipBlock") if isinstance(peer, dict) else {"cidr": network.EVERYWHERE}
        if (
            block
            and _IMDS in ip_network(block["cidr"])
            and not any(_IMDS in ip_network(hole) for hole in block.get("except", ()))
            and edge[0] == "egress"
        ):
            yield Finding.of("network-imds", policy, f"{block['cidr']} holds {_IMDS}")


RULES = (matrix, ways_in, imds)
