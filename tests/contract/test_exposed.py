"""What a load balancer reaches: from the internet the page alone, within the VPC Serve, too."""

from dataclasses import replace

import pytest

from darkroom.cluster import network_rules
from darkroom.cluster.errors import NotRenderable
from darkroom.cluster.exposed import STAND_IN, Exposed, stand_in
from darkroom.cluster.installation import Installation
from darkroom.cluster.validate import validate
from darkroom.names import COMPONENT, EXPOSURE
from tests.rendered import build, rendering, two_runtimes


def exposed(tmp_path, mode, **changed):
    """The manifests of an installation with a load balancer."""
    installation = replace(
        Installation.stand_in(two_runtimes()), exposure=stand_in(mode, "painter")
    )
    return build(tmp_path, installation=installation, **changed)


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """Shown to the internet."""
    return exposed(tmp_path_factory.mktemp("public"), "public")


@pytest.fixture(scope="module")
def internal(tmp_path_factory):
    """Shown within the VPC."""
    return exposed(tmp_path_factory.mktemp("internal"), "internal")


def node_ports(manifests):
    """Services that nodes show to others than pods."""
    return [each for each in manifests.of_kind("Service") if each["spec"].get("type")]


def from_balancer(manifests):
    """Component -> the ports on which the load balancer's networks are let in."""
    return {
        policy["spec"]["podSelector"]["matchLabels"][COMPONENT]: {
            port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]
        }
        for policy in manifests.of_kind("NetworkPolicy")
        for rule in policy["spec"].get("ingress", ())
        if any(peer.get("ipBlock", {}).get("cidr") in STAND_IN for peer in rule["from"])
    }


def test_from_the_internet_the_page_is_reached_and_nothing_of_serve(public):
    """`/imagine` has no login: neither a Service nor a policy leads to it."""
    [service] = node_ports(public)
    assert service["spec"]["selector"] == {COMPONENT: "ui"}
    assert from_balancer(public) == {"ui": {7860}}


def test_within_the_vpc_page_serve_and_dashboard_are_reached(internal):
    """Of the one runtime that was named, each by its own port of the nodes."""
    found = {each["metadata"]["name"]: each["spec"] for each in node_ports(internal)}
    assert found.keys() == {"exposed-ui", "exposed-serve", "exposed-dashboard"}
    assert found["exposed-serve"]["selector"]["darkroom/runtime"] == "painter"
    assert len({spec["ports"][0]["nodePort"] for spec in found.values()}) == 3
    assert from_balancer(internal) == {"ui": {7860}, "ray-head": {8000, 8265}}


def test_pods_see_the_load_balancer_and_not_a_node(internal):
    """Else the policies would have to let in every node, and all pods beside it."""
    policies = {each["spec"]["externalTrafficPolicy"] for each in node_ports(internal)}
    assert policies == {"Local"}


def test_the_page_is_told_its_password_and_that_it_must_have_one(public):
    """From the secret; without that its pod does not start."""
    [container] = public.one("Deployment", "ui")["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each for each in container["env"]}
    assert told["DARKROOM_UI_EXPOSED"]["value"] == "1"
    reference = told["DARKROOM_UI_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "ui-password", "key": "password"}


@pytest.mark.parametrize("mode", ["public", "internal"])
def test_what_is_rendered_has_no_fault(mode, request, definitions):
    """By schemas and by our own rules."""
    assert validate(list(request.getfixturevalue(mode)), definitions) == []


def test_all_that_a_load_balancer_needs_says_so(internal):
    """So that it can be taken away again."""
    marked = {
        each["metadata"]["name"]
        for each in internal
        if each["metadata"].get("labels", {}).get(EXPOSURE) == "internal"
    }
    opened = {each["metadata"]["name"] for each in node_ports(internal)}
    assert marked == opened | {"exposed-ray-head"}


def test_without_a_load_balancer_nothing_is_rendered_for_one(tmp_path):
    """Neither applied nor lying in the folder."""
    folder = rendering().write("dev", tmp_path / "manifests")
    assert not (folder / "components/exposed").exists()
    assert "exposed" not in (folder / "kustomization.yaml").read_text()


def test_deep_sleep_is_refused_beside_a_load_balancer(tmp_path):
    """It deletes Services; the message says both ways out."""
    with pytest.raises(NotRenderable, match=r"without --with deep-sleep.*--expose none"):
        exposed(tmp_path, "internal", components=("deep-sleep",))
    assert not (tmp_path / "manifests").exists()


def test_terraform_cannot_show_serve_to_the_internet_by_mistake():
    """Whatever its outputs say, it is not rendered."""
    with pytest.raises(NotRenderable, match="only the page"):
        Exposed(mode="public", runtime="demo", networks=STAND_IN, urls={},
                node_ports={"ui": 30080, "serve": 30800})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "planted", "rule"),
    [
        ("exposed-ui", {"selector": {COMPONENT: "ray-head"}}, "network-public-service"),
        ("ui", {"type": "NodePort"}, "network-open-service"),
        ("webhooks", {"type": "LoadBalancer"}, "network-open-service"),
    ],
)
def test_a_planted_way_in_is_caught(name, planted, rule, public):
    """A selector that leads elsewhere, and a Service that was opened by hand."""
    spoiled = public.copy()
    [service] = node_ports(spoiled)
    service["metadata"] |= {"name": name}
    if name != "exposed-ui":
        service["metadata"]["labels"].pop(EXPOSURE)
    service["spec"] |= planted
    found = {each.rule for each in network_rules.ways_in(spoiled.objects)}
    assert found == {rule}
