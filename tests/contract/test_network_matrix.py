"""Who may speak to whom: what is rendered is the table, row by row, and nothing more."""

from dataclasses import replace

import pytest

from darkroom.cluster import network, network_rules
from darkroom.cluster.installation import Installation
from darkroom.cluster.network import DEEP_SLEEP, MATRIX
from darkroom.cluster.template import read_objects
from tests.rendered import rendering, two_runtimes

ROWS = (*MATRIX, *DEEP_SLEEP)


def found(manifests):
    """Names of the rules that find something in the policies."""
    objects = list(manifests)
    return {each.rule for rule in network_rules.RULES for each in rule(objects)}


def named(flow):
    """A row, for a test's name."""
    return f"{flow.source.name} to {flow.target.name} {','.join(map(str, flow.ports)) or 'any'}"


def of_row(manifests, flow):
    """(rules of a policy, rule, its key of peers) of each rule that a row is rendered to."""
    prefix = "sleep-" if flow in DEEP_SLEEP else ""
    for side, peers, peer in (("egress", "to", flow.source), ("ingress", "from", flow.target)):
        if not peer.component:
            continue
        policy = manifests.one("NetworkPolicy", prefix + peer.name)
        [wanted] = [
            each
            for each in network.policies([flow], prefix=prefix)
            if each["metadata"]["name"] == prefix + peer.name
        ]
        [rule] = wanted["spec"][side]
        yield policy["spec"][side], rule, peers


def test_what_is_rendered_is_the_table(whole):
    """No flow more, none less, everything else denied, and IMDS reached by nobody."""
    assert found(whole) == set()


@pytest.mark.parametrize("flow", ROWS, ids=named)
def test_each_row_is_there(flow, whole):
    """On both sides that are ours; taken away, it is missed."""
    spoiled = whole.copy()
    rows = list(of_row(spoiled, flow))
    assert rows
    for rules, rule, peers in rows:
        assert rule in rules
        # All that speaks of the same peers: where nobody says which addresses are AWS's, these are
        # among the Internet's, and the other row would stand in for this one.
        rules[:] = [each for each in rules if each[peers] != rule[peers]]
    assert found(spoiled) == {"network-missing-flow"}


@pytest.mark.parametrize(
    "peer",
    [
        {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "bridge"}}},
        {"ipBlock": {"cidr": "203.0.113.0/24"}},
        {"namespaceSelector": {}},
    ],
    ids=["another component", "an address", "every namespace"],
)
def test_a_planted_extra_flow_is_caught(peer, whole):
    """Whatever the page could reach beside the API."""
    spoiled = whole.copy()
    policy = spoiled.one("NetworkPolicy", "ui")
    policy["spec"]["egress"].append({"to": [peer], "ports": [{"protocol": "TCP", "port": 80}]})
    assert found(spoiled) == {"network-extra-flow"}


def test_a_policy_more_is_caught(whole):
    """Policies add up: one that allows all would open everything."""
    spoiled = whole.copy()
    spoiled.objects.append(
        {
            "kind": "NetworkPolicy",
            "metadata": {"name": "convenient"},
            "spec": {"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]},
        }
    )
    assert found(spoiled) == {"network-extra-flow"}


def test_without_the_denial_nothing_is_closed(whole):
    """A policy that is missing denies nothing."""
    spoiled = whole.copy()
    spoiled.objects.remove(spoiled.one("NetworkPolicy", "deny-all"))
    assert found(spoiled) == {"network-default-deny"}


def test_a_way_to_imds_is_caught(whole):
    """Even where it hides in a larger block."""
    spoiled = whole.copy()
    policy = spoiled.one("NetworkPolicy", "bridge")
    policy["spec"]["egress"].append({"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}]})
    assert "network-imds" in found(spoiled)


def test_only_the_bridge_and_the_webhook_worker_reach_the_internet():
    """They call what clients name; nobody else has business there."""
    callers = {flow.source.name for flow in ROWS if flow.target == network.INTERNET}
    assert callers == {"bridge", "webhook-worker"}


def test_the_page_reaches_the_api_only():
    """And the names of things."""
    assert {flow.target.name for flow in ROWS if flow.source == network.UI} == {"api", "dns"}


def test_known_addresses_of_aws_replace_the_whole_internet():
    """For who has interface endpoints: port 443 of these, and of nothing else."""
    [policy] = [
        each
        for each in network.policies(MATRIX, aws_cidrs=["10.0.0.0/16"])
        if each["metadata"]["name"] == "sweeper"
    ]
    blocks = [
        peer["ipBlock"]
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert {block["cidr"] for block in blocks} == {"169.254.170.23/32", "10.0.0.0/16"}


def test_the_way_to_a_service_asks_for_no_more_labels_than_the_service():
    """VPC CNI holds the Service's own address against it: by component no job would come to Serve.

    The labels are those by which KubeRay 1.7 selects (controllers/ray/common/service.go).
    """
    [bridge] = [each for each in network.policies(MATRIX) if each["metadata"]["name"] == "bridge"]
    ways = [rule["to"] for rule in bridge["spec"]["egress"] if rule["ports"][0]["port"] == 8000]
    assert ways == [[{"podSelector": {"matchLabels": {"ray.io/serve": "true"}}}]]


def test_what_of_the_vpc_may_be_aws_is_open_beside_what_is_public(tmp_path):
    """Interface endpoints give queues and tables addresses of the VPC's own."""
    stand_in = Installation.stand_in(two_runtimes())
    installation = replace(stand_in, private_cidrs=("10.7.0.0/16",))
    folder = rendering(installation=installation).write("dev", tmp_path / "manifests")
    policies = {
        each["metadata"]["name"]: each
        for each in read_objects(folder / "base/generated/network.yaml")
    }
    blocks = [
        (peer["ipBlock"]["cidr"], [port["port"] for port in rule["ports"]])
        for rule in policies["sweeper"]["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert ("10.7.0.0/16", [443]) in blocks
    assert ("0.0.0.0/0", [443]) in blocks
