"""Who may speak to whom: one table, and the NetworkPolicies that follow from it.

All else is denied, both ways. NetworkPolicy knows no names: "AWS" is port 443 of the addresses
that `aws_cidrs` gives, by default of everything public, and of the VPC where that has interface
endpoints; "the Internet" is everything public, on the ports of the web. Neither holds the
link-local addresses: IMDS is open to nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.names import COMPONENT, NAMESPACE, OURS, RAY_HEAD, RAY_WORKER

#: Not meant by "everything public": our own network, and the node's own services.
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Peer:
    """One side of a flow: a component of ours, pods of another namespace, or addresses."""

    name: str
    component: bool = False
    namespace: str | None = None
    pods: tuple[tuple[str, str], ...] = ()
    cidrs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flow:
    """`source` may open connections to `target`; without ports on all of them."""

    source: Peer
    target: Peer
    ports: tuple[int, ...]
    why: str
    protocols: tuple[str, ...] = ("TCP",)
    #: Labels by which the Service between them selects. VPC CNI looks at a packet before the
    #: Service's address is replaced, and lets that pass only if the way out is open to pods of no
    #: more labels than these (aws/amazon-network-policy-controller-k8s, endpoints.go).
    service: tuple[tuple[str, str], ...] = ()


def _ours(component: str) -> Peer:
    return Peer(component, component=True)


HEAD, WORKER, BATCH = _ours(RAY_HEAD), _ours(RAY_WORKER), _ours("batch")
BRIDGE, DEAD, SWEEPER = _ours("bridge"), _ours("dead-letter-worker"), _ours("sweeper")
WEBHOOKS, UI, SLEEP = _ours("webhook-worker"), _ours("ui"), _ours("deep-sleep")

OPERATOR = Peer(
    "kuberay-operator",
    namespace="kuberay-system",
    pods=(("app.kubernetes.io/name", "kuberay-operator"),),
)
PROMETHEUS = Peer(
    "prometheus", namespace="monitoring", pods=(("app.kubernetes.io/name", "prometheus"),)
)
DNS = Peer("dns", namespace="kube-system", pods=(("k8s-app", "kube-dns"),))
#: The agent's address on every node.
POD_IDENTITY = Peer("pod-identity-agent", cidrs=("169.254.170.23/32",))
#: Addresses in the VPC and of its services; EKS does not say them before the cluster is there.
API_SERVER = Peer("api-server", cidrs=("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
#: Replaced by `aws_cidrs`, where these are known.
AWS = Peer("aws", cidrs=(EVERYWHERE,))
#: The API is API Gateway: an AWS address like others.
API = Peer("api", cidrs=(EVERYWHERE,))
INTERNET = Peer("internet", cidrs=(EVERYWHERE,))

#: KubeRay's, of each RayService; on every pod whose proxy is well.
SERVE_SERVICE = (("ray.io/serve", "true"),)

_ROLES = (BRIDGE, DEAD, SWEEPER, WEBHOOKS, HEAD, WORKER, BATCH)
_ALL = (*_ROLES, UI)
_METRICS = (8080, 44217, 44227)

#: The allow matrix. A row more here is a hole more in the wall: say why.
MATRIX: tuple[Flow, ...] = (
    Flow(OPERATOR, HEAD, (8265, 8000), "KubeRay deploys the Serve app and asks how it is"),
    Flow(OPERATOR, BATCH, (8265,), "KubeRay submits batch jobs"),
    *(
        Flow(source, target, (), "Ray's processes choose their ports among themselves")
        for source, target in (
            (HEAD, HEAD),
            (HEAD, WORKER),
            (WORKER, HEAD),
            (WORKER, WORKER),
            (BATCH, BATCH),
        )
    ),
    *(
        Flow(BRIDGE, target, (8000,), "Serve has a proxy on every Ray pod", service=SERVE_SERVICE)
        for target in (HEAD, WORKER)
    ),
    *(Flow(PROMETHEUS, target, _METRICS, "scrapes") for target in (HEAD, WORKER, BATCH)),
    *(Flow(each, DNS, (53,), "names", ("UDP", "TCP")) for each in _ALL),
    *(
        Flow(each, API_SERVER, (443,), why)
        for each, why in (
            (HEAD, "Ray's autoscaler asks for worker pods"),
            (BATCH, "Ray's autoscaler asks for worker pods"),
        )
    ),
    *(Flow(each, POD_IDENTITY, (80,), "credentials of its role") for each in _ROLES),
    *(Flow(each, AWS, (443,), "queues, table, buckets, topics") for each in _ROLES),
    Flow(BRIDGE, INTERNET, (80, 443), "pictures that jobs name by URL"),
    Flow(WEBHOOKS, INTERNET, (443,), "calls of clients' webhooks"),
    Flow(UI, API, (443,), "jobs go the way that everybody's go"),
)


#: What deep sleep needs beside it; only its component brings these.
DEEP_SLEEP: tuple[Flow, ...] = (
    Flow(SLEEP, HEAD, (8265,), "is any replica there or wanted?"),
    Flow(SLEEP, DNS, (53,), "names", ("UDP", "TCP")),
    Flow(SLEEP, API_SERVER, (443,), "suspends the RayService"),
    Flow(SLEEP, POD_IDENTITY, (80,), "credentials of its role"),
    Flow(SLEEP, AWS, (443,), "does anything wait in the queues?"),
    Flow(BRIDGE, API_SERVER, (443,), "wakes the RayService"),
)

#: What a load balancer may lead to, and the port of its pods.
WAYS_IN: Mapping[str, tuple[Peer, int]] = {
    "ui": (UI, 7860),
    "serve": (HEAD, 8000),
    "dashboard": (HEAD, 8265),
}


def deny_all() -> dict[str, Any]:
    """The policy under which nothing is allowed that no other one allows."""
    return _policy("deny-all", {}, {"policyTypes": ["Ingress", "Egress"]})


def policies(
    flows: Sequence[Flow], *, prefix: str = "", aws_cidrs: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The NetworkPolicies that allow `flows`: one for each component that has a part in them."""
    components = sorted(
        {peer.name for flow in flows for peer in (flow.source, flow.target) if peer.component}
    )
    return [_of_component(name, flows, prefix, aws_cidrs) for name in components]


def _of_component(
    name: str, flows: Sequence[Flow], prefix: str, aws_cidrs: Sequence[str]
) -> dict[str, Any]:
    incoming = [flow for flow in flows if flow.target == _ours(name)]
    outgoing = [flow for flow in flows if flow.source == _ours(name)]
    rules: dict[str, Any] = {}
    if incoming:
        rules["ingress"] = [_rule("from", flow.source, flow, aws_cidrs) for flow in incoming]
    if outgoing:
        ways = [_rule("to", flow.target, flow, aws_cidrs) for flow in outgoing]
        # Two targets behind one Service are one way.
        rules["egress"] = [way for number, way in enumerate(ways) if way not in ways[:number]]
    rules["policyTypes"] = [side.capitalize() for side in rules]
    return _policy(prefix + name, {"matchLabels": {COMPONENT: name}}, rules)


def _rule(side: str, peer: Peer, flow: Flow, aws_cidrs: Sequence[str]) -> dict[str, Any]:
    rule: dict[str, Any] = {side: _selectors(peer, aws_cidrs)}
    if side == "to" and flow.service:
        rule = {side: [{"podSelector": {"matchLabels": dict(flow.service)}}]}
    if flow.ports:
        rule["ports"] = [
            {"protocol": protocol, "port": port}
            for port in flow.ports
            for protocol in flow.protocols
        ]
    return rule


def _selectors(peer: Peer, aws_cidrs: Sequence[str]) -> list[dict[str, Any]]:
    if peer.component:
        return [{"podSelector": {"matchLabels": {COMPONENT: peer.name}}}]
    if peer.namespace:
        return [
            {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": peer.namespace}
                },
                "podSelector": {"matchLabels": dict(peer.pods)},
            }
        ]
    cidrs = tuple(aws_cidrs) if peer in (AWS, API) and aws_cidrs else peer.cidrs
    return [{"ipBlock": _block(cidr)} for cidr in cidrs]


def _block(cidr: str) -> dict[str, Any]:
    return {"cidr": cidr} | ({"except": list(PRIVATE)} if cidr == EVERYWHERE else {})


def _policy(name: str, selector: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {**OURS, COMPONENT: "network"},
        },
        "spec": {"podSelector": dict(selector), **rules},
    }
