"""The NetworkPolicies that are there against the allow matrix."""

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from darkroom.cluster import network
from darkroom.cluster.finding import Finding

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
    allowed = edges(network.policies(flows))
    found = edges(policies)
    for edge in sorted(found.keys() - allowed.keys()):
        yield Finding.of("network-extra-flow", found[edge], f"not in the matrix: {' '.join(edge)}")
    for edge in sorted(allowed.keys() - found.keys()):
        yield Finding.of("network-missing-flow", allowed[edge], f"not allowed: {' '.join(edge)}")


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


RULES = (matrix, imds)
