"""What `--expose` takes and refuses, what it asks of Terraform, and what it leaves behind."""

import boto3
import pytest
import yaml
from moto import mock_aws

from darkroom.deploy.errors import Unfit
from darkroom.deploy.exposure import UI_PASSWORD, UI_USER, Exposure, judged_zone
from darkroom.deploy.manifests import AppliedManifests
from darkroom.deploy.secrets import KubernetesSecrets
from darkroom.deploy.wanted import Wanted
from darkroom.names import EXPOSURE
from gradio_ui.login import USER

NAMED = {"hostname": "darkroom.example.org", "zone": "Z0123456789"}
PUBLIC = Exposure(mode="public", cidrs=("192.0.2.0/24", "198.51.100.7/32"), **NAMED)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "everywhere"}, "none, internal, public"),
        ({"hostname": "darkroom.example.org"}, "say --expose internal"),
        ({"cidrs": ("192.0.2.0/24",)}, "say --expose internal"),
        ({"mode": "public", "cidrs": ("192.0.2.0/24",)}, "say --hostname and --zone"),
        ({"mode": "public", "cidrs": ("0.0.0.0/0",)}, "say --hostname and --zone"),
        ({"mode": "public", **NAMED}, "wants --expose-cidr"),
        ({"mode": "internal", "cidrs": ("0.0.0.0/0",)}, "whole internet"),
        ({"mode": "internal", "cidrs": ("192.0.2.1/24",)}, "no IPv4 network"),
        ({"mode": "internal", "cidrs": ("2001:db8::/32",)}, "no IPv4 network"),
        ({"mode": "internal", "cidrs": ("192.0.2.0/24",) * 16}, "at most 15"),
        ({"mode": "internal", "hostname": "darkroom.example.org"}, "belong together"),
        ({"mode": "internal", **NAMED, "hostname": "https://darkroom"}, "a full name"),
        ({"mode": "internal", **NAMED, "zone": "example.org"}, "a hosted zone's id"),
    ],
)
def test_what_would_open_too_much_or_nothing_is_refused_with_what_to_say(given, said):
    """Before Terraform, which refuses the same."""
    with pytest.raises(Unfit, match=said):
        Exposure(**given)


def test_by_default_terraform_is_told_of_no_load_balancer():
    """It makes none then, and nobody pays for one."""
    assert "exposure" not in Wanted(name="demo", region="us-west-2").variables()


def test_terraform_is_told_who_may_come_where_and_to_which_runtime():
    """As its variable is typed; the command that goes on says the same again."""
    wanted = Wanted(name="demo", region="us-west-2", exposure=PUBLIC)
    assert wanted.variables()["exposure"] == {
        "mode": "public",
        "runtime": "demo",
        "cidrs": ["192.0.2.0/24", "198.51.100.7/32"],
        "hostname": "darkroom.example.org",
        "zone_id": "Z0123456789",
    }
    assert " ".join(wanted.options.words()).endswith(
        "--expose public --hostname darkroom.example.org --zone Z0123456789 "
        "--expose-cidr 192.0.2.0/24 --expose-cidr 198.51.100.7/32"
    )


def test_within_the_vpc_neither_a_name_nor_networks_are_asked_for():
    """Plain HTTP, to whoever is in it."""
    assert Exposure(mode="internal").variable("demo") == {
        "mode": "internal",
        "runtime": "demo",
        "cidrs": [],
    }


@pytest.fixture
def route53():
    """An account in memory."""
    with mock_aws():
        yield boto3.client("route53")


def zone(route53, name, **config):
    made = route53.create_hosted_zone(Name=name, CallerReference=name, **config)
    return made["HostedZone"]["Id"].rpartition("/")[2]


def found(route53, given, hostname="darkroom.example.org"):
    exposure = Exposure(mode="internal", hostname=hostname, zone=given)
    return [(each.fatal, each.text) for each in judged_zone(route53, exposure)]


def test_a_zone_that_proves_the_name_is_nothing_to_speak_of(route53):
    """Its own name, and those below it."""
    given = zone(route53, "example.org")
    assert found(route53, given) == []
    assert found(route53, given, "example.org") == []


@pytest.mark.parametrize("hostname", ["darkroom.example.com", "darkroom.badexample.org"])
def test_a_name_of_another_zone_is_refused_before_a_certificate_waits_for_it(route53, hostname):
    """For twenty minutes, and in vain."""
    [(fatal, text)] = found(route53, zone(route53, "example.org"), hostname)
    assert fatal
    assert f"{hostname} is not within example.org" in text


def test_a_zone_that_is_not_there_is_refused(route53):
    """Perhaps it is another account's."""
    [(fatal, text)] = found(route53, "Z0000000000")
    assert fatal
    assert "no such zone" in text


def test_a_private_zone_proves_nothing(route53):
    """ACM asks the world."""
    vpc = boto3.client("ec2", region_name="us-west-2").describe_vpcs()["Vpcs"][0]["VpcId"]
    config = {
        "HostedZoneConfig": {"PrivateZone": True},
        "VPC": {"VPCRegion": "us-west-2", "VPCId": vpc},
    }
    [(fatal, text)] = found(route53, zone(route53, "example.org", **config))
    assert fatal
    assert "is private" in text


class Kubectl:
    """A cluster with what an earlier deployment has opened."""

    def __init__(self, *there):
        self.there, self.deleted, self.applied = there, [], []

    def kubectl(self, verb, *words, **_):
        if verb == "delete":
            self.deleted += [word for word in words if "/" in word]
        return ""

    def items(self, kind, **_):
        if kind == "rayservices":
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            return [{"metadata": {"name": "demo"}, "status": ready}]
        return [each for each in self.there if each["kind"].lower() + "s" == kind]

    def get(self, *_, **__):
        return {}

    def apply_text(self, objects):
        self.applied += objects


def opened(name, mode):
    return {"kind": "Service", "metadata": {"name": name, "labels": {EXPOSURE: mode}}}


@pytest.fixture
def rendered(tmp_path):
    """A folder in which the page alone is shown to the internet."""
    folder = tmp_path / "components/exposed/generated"
    folder.mkdir(parents=True)
    (folder / "services.yaml").write_text(yaml.safe_dump(opened("exposed-ui", "public")))
    return tmp_path


def test_what_an_earlier_load_balancer_was_led_to_is_shut(rendered):
    """An apply leaves what its folder lacks: Serve would stay open on every node."""
    kubectl = Kubectl(opened("exposed-ui", "public"), opened("exposed-serve", "internal"))
    step = AppliedManifests(cluster=kubectl, folder=rendered, say=print)
    assert not step.check().done
    step.apply()
    assert kubectl.deleted == ["service/exposed-serve"]


def test_without_a_load_balancer_nothing_is_left_open(tmp_path):
    """After `--expose none`; Services of others are not ours to delete."""
    other = {"kind": "Service", "metadata": {"name": "ui"}}
    kubectl = Kubectl(opened("exposed-ui", "public"), other)
    AppliedManifests(cluster=kubectl, folder=tmp_path, say=print).apply()
    assert kubectl.deleted == ["service/exposed-ui"]


@pytest.mark.parametrize("exposed", [False, True])
def test_the_pages_password_is_brought_into_the_cluster_with_a_load_balancer(exposed):
    """Without one there is none, and nothing asks for it."""
    with mock_aws():
        secrets, kubectl = boto3.client("secretsmanager", region_name="us-west-2"), Kubectl()
        names = ["ray-token", "webhook-signing", "first-key", *([UI_PASSWORD] if exposed else [])]
        for name in names:
            secrets.create_secret(Name=f"demo/{name}", SecretString=name)
        step = KubernetesSecrets(
            cluster=kubectl, secrets=secrets, installation="demo", exposed=exposed
        )
        step.apply()
    written = {each["metadata"]["name"]: each["data"] for each in kubectl.applied}
    assert (written.get("ui-password") is not None) is exposed
    assert len(written) == len(names)


def test_the_user_that_people_are_told_is_the_pages():
    """It stands twice: the command line does not import the page."""
    assert UI_USER == USER
