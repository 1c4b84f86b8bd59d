"""What a later `deploy` need not say again, what it says of that, and what it takes back."""

from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.account import Account
from darkroom.deploy.errors import Unfit
from darkroom.deploy.journal import Journal
from darkroom.deploy.options import Options
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.quota import ADDRESSES, NATS, VPCS, Reading, judged
from darkroom.deploy.request import requested
from darkroom.deploy.wanted import Wanted

REGION = "us-west-2"
BOUNDARY = "arn:aws:iam::111122223333:policy/demo-boundary"
NETWORK = "192.0.2.0/24"


@pytest.fixture
def connect():
    """An account in memory."""
    with mock_aws():
        yield lambda service: boto3.client(service, region_name=REGION)


@pytest.fixture
def said():
    """What people are told."""
    return []


@pytest.fixture
def deployment(connect, catalogue, said, tmp_path, monkeypatch):
    """One of which the command line has said no more than its name; its state has a bucket."""
    journal = Journal(tmp_path / "log")
    monkeypatch.setattr(journal, "say", said.append)
    made = Deployment(
        wanted=Wanted(name="demo", region=REGION, work=tmp_path),
        account=Account(id="111122223333", arn="arn:aws:iam::111122223333:root"),
        connect=connect,
        programs=Programs(),
        journal=journal,
        catalogue=catalogue,
        package=lambda: None,
    )
    # Without its policy, of which moto reads no condition.
    bucket = made.state_bucket
    place = {"LocationConstraint": REGION}
    bucket.s3.create_bucket(Bucket=bucket.bucket, CreateBucketConfiguration=place)
    return made


@pytest.fixture
def vpc(connect):
    """One with a private subnet and a NAT gateway in each of two zones."""
    ec2 = connect("ec2")
    made = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    for number, zone in enumerate(("a", "b")):
        subnet = ec2.create_subnet(
            VpcId=made, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        nat = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")
        table = ec2.create_route_table(VpcId=made)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        ec2.create_route(
            RouteTableId=table,
            DestinationCidrBlock="0.0.0.0/0",
            NatGatewayId=nat["NatGateway"]["NatGatewayId"],
        )
    return made


def kept(deployment, **said):
    """What was asked for, written down as an apply does."""
    asked = requested(deployment, Options.given(**said))
    asked.memory.keep(asked.wanted, asked.catalogue.runtimes)
    return asked.wanted


def test_a_plain_deploy_asks_for_what_the_one_before_did(deployment, said, vpc):
    """Else an upgrade would move the API, make a VPC, open the cluster, or read another bucket."""
    before = kept(
        deployment,
        overlay="prod",
        bucket="weights",
        existing_vpc=vpc,
        permissions_boundary=BOUNDARY,
        registry="mirror.example.org",
        expose="internal",
        expose_cidr=[NETWORK],
        admin_cidr=[NETWORK, "198.51.100.0/24"],
    )
    said.clear()
    now = requested(deployment, Options.given()).wanted
    assert now == before
    assert now.variables()["permissions_boundary"] == BOUNDARY
    assert said == [
        f"as before: --overlay prod --bucket weights --permissions-boundary {BOUNDARY} "
        f"--existing-vpc {vpc} --registry mirror.example.org --expose internal "
        f"--expose-cidr {NETWORK} --admin-cidr {NETWORK} --admin-cidr 198.51.100.0/24"
    ]


def test_what_is_given_wins_over_what_was_and_that_is_said(deployment, said):
    """What nobody speaks of stays."""
    kept(deployment, overlay="prod", bucket="weights")
    said.clear()
    now = requested(deployment, Options.given(overlay="dev", bucket="weights", runtime="demo"))
    assert (now.wanted.overlay, now.wanted.bucket) == ("dev", "weights")
    assert said == ["--overlay was prod, now dev"]


def test_the_command_that_goes_on_says_again_what_was_said_only(deployment):
    """Stopped before anything is written down, it would else go back to what was."""
    kept(deployment, overlay="prod", bucket="weights", expose="internal")
    now = requested(deployment, Options.given(overlay="dev", expose="none", bucket="")).wanted
    assert now.command("deploy").endswith("--overlay dev --expose none --bucket ''")


def test_an_option_that_is_given_empty_is_taken_back(deployment, said):
    """For good: the next deploy does not know it any more."""
    kept(deployment, bucket="weights", admin_cidr=[NETWORK])
    said.clear()
    now = kept(deployment, bucket="", admin_cidr=[""])
    assert (now.bucket, now.admin_cidrs) == (None, ())
    assert said == [
        f"--admin-cidr was {NETWORK}, now not given",
        "--bucket was weights, now not given",
    ]
    said.clear()
    assert requested(deployment, Options.given()).wanted == now
    assert said == []


def test_a_load_balancer_goes_with_its_name_and_its_visitors(deployment, said):
    """They alone would be refused; another kind of it keeps its name, not who may come."""
    named = {"hostname": "darkroom.example.org", "zone": "Z0123456789"}
    kept(deployment, expose="public", expose_cidr=[NETWORK], **named)
    inside = requested(deployment, Options.given(expose="internal")).wanted.exposure
    assert (inside.hostname, inside.cidrs) == ("darkroom.example.org", ())
    assert f"--expose-cidr was {NETWORK}, now not given" in said
    said.clear()
    assert not requested(deployment, Options.given(expose="none")).wanted.exposure
    assert said == [
        "--expose was public, now none",
        f"--expose-cidr was {NETWORK}, now not given",
        "--hostname was darkroom.example.org, now not given",
        "--zone was Z0123456789, now not given",
    ]


def test_an_address_that_was_looked_up_is_looked_up_again(deployment):
    """This machine may have another one tomorrow; what somebody said stays said."""
    here = replace(deployment.wanted, here="203.0.113.7/32")
    assert here.variables()["admin_cidrs"] == ["203.0.113.7/32"]
    deployment.memory.keep(here, ["demo"])
    assert requested(deployment, Options.given()).wanted.admin_cidrs == ()


def test_a_snapshot_and_images_are_of_one_release_only(deployment, tmp_path):
    """The next release has others."""
    of_a_release = {"snapshot": "snap-1", "images": tmp_path / "images.json"}
    deployment.memory.keep(replace(deployment.wanted, **of_a_release), ["demo"])
    now = requested(deployment, Options.given()).wanted
    assert (now.snapshot, now.images) == (None, None)


def test_where_nobody_wrote_options_down_that_is_said(deployment, said):
    """A plain deploy is then one that takes everything away that it does not say."""
    now = requested(deployment, Options.given(bucket="weights")).wanted
    assert (now.overlay, now.bucket) == ("dev", "weights")
    assert "nobody has written down" in said[0]


def test_of_a_new_installation_there_is_nothing_to_say(deployment, said):
    """Not even a bucket for its state."""
    other = replace(deployment, wanted=replace(deployment.wanted, name="other"))
    assert requested(other, Options.given()).wanted == other.wanted
    assert said == []


def test_a_runtime_that_is_gone_since_is_refused_with_those_that_are_there(deployment):
    """It was written down under a name that runtimes.yaml has no more."""
    deployment.memory.keep(replace(deployment.wanted, runtime="painter"), ["painter"])
    with pytest.raises(Unfit, match=r"--runtime is one of .*demo"):
        requested(deployment, Options.given())


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_an_existing_vpc_needs_no_address_no_nat_gateway_and_no_vpc(deployment, vpc, overlay):
    """An account whose own are all in use can have it; a new VPC is refused there."""
    full = {each: Reading(limit=5, used=5) for each in (ADDRESSES, NATS, VPCS)}
    there = requested(deployment, Options.given(overlay=overlay, existing_vpc=vpc))
    assert list(judged(there.preflight.wanted, full, REGION)) == []
    new = requested(deployment, Options.given(overlay=overlay))
    assert [each.fatal for each in judged(new.preflight.wanted, full, REGION)] == [True] * 3


def test_the_mirror_that_was_named_is_what_operators_are_rendered_with(deployment):
    """By `deploy` as by `render --registry`."""
    assert requested(deployment, Options.given()).rendered.registry is None
    named = requested(deployment, Options.given(registry="mirror.example.org"))
    assert named.rendered.registry == "mirror.example.org"
