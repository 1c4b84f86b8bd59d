"""What of an existing VPC a cluster uses."""

from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from darkroom.deploy.errors import Unfit
from darkroom.deploy.vpc import chosen, missing, read_vpc
from darkroom.deploy.wanted import Vpc


def subnet(name, zone, zone_id="usw2-az1", free=251, **more):
    return {
        "SubnetId": name,
        "AvailabilityZone": zone,
        "AvailabilityZoneId": zone_id,
        "AvailableIpAddressCount": free,
        **more,
    }


def table(name, subnets, **route):
    return {
        "RouteTableId": name,
        "Associations": [{"SubnetId": each} for each in subnets],
        "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", **route}],
    }


def test_of_an_existing_vpc_the_subnets_behind_nat_are_used():
    """Not those that have an internet gateway: nodes have no public address."""
    subnets = [subnet("public", "a"), subnet("one", "a"), subnet("two", "b")]
    tables = [
        table("rtb-1", ["public"], GatewayId="igw-1"),
        table("rtb-2", ["one"], NatGatewayId="nat-1"),
        table("rtb-3", ["two"], TransitGatewayId="tgw-1"),
    ]
    found = chosen("vpc-1", subnets, tables, "demo")
    assert (found.subnet_ids, found.route_table_ids) == (["one", "two"], ["rtb-2", "rtb-3"])


def test_a_zone_without_control_planes_is_no_zone_of_a_cluster():
    """By the zone's id: us-east-1a is use1-az3 in one account and not in another."""
    subnets = [
        subnet("one", "us-east-1a", "use1-az3"),
        subnet("two", "us-east-1b", "use1-az1"),
        subnet("three", "us-east-1c", "use1-az2"),
    ]
    tables = [table("rtb-1", ["one", "two", "three"], NatGatewayId="nat-1")]
    assert chosen("vpc-1", subnets, tables, "demo").subnet_ids == ["two", "three"]
    with pytest.raises(Unfit, match=r"1 zones; EKS wants 2, and none of .*use1-az3"):
        chosen("vpc-1", subnets[:2], tables, "demo")


def test_of_several_subnets_in_a_zone_the_one_with_most_addresses_is_used():
    """A /28 for endpoints is none for pods."""
    subnets = [subnet("a-small", "a", free=11), subnet("b-wide", "a", free=4000), subnet("c", "b")]
    tables = [table("rtb-1", ["a-small", "b-wide", "c"], NatGatewayId="nat-1")]
    assert chosen("vpc-1", subnets, tables, "demo").subnet_ids == ["b-wide", "c"]


def test_a_cluster_does_not_move_when_addresses_are_used_up():
    """Its node group cannot: it would be made anew."""
    tags = [{"Key": "karpenter.sh/discovery/demo", "Value": "demo"}]
    subnets = [subnet("a", "a", free=4000), subnet("b", "a", free=11, Tags=tags), subnet("c", "b")]
    tables = [table("rtb-1", ["a", "b", "c"], NatGatewayId="nat-1")]
    assert chosen("vpc-1", subnets, tables, "demo").subnet_ids == ["b", "c"]
    assert chosen("vpc-1", subnets, tables, "other").subnet_ids == ["a", "c"]


@pytest.mark.parametrize(
    ("tables", "tags", "made"),
    [
        (["rtb-2", "rtb-9"], [], ["dynamodb"]),
        (["rtb-2"], [{"Key": "darkroom:installation", "Value": "other"}], ["dynamodb"]),
        (["rtb-2"], [{"Key": "darkroom:installation", "Value": "demo"}], ["s3", "dynamodb"]),
        (["rtb-9"], [], ["s3", "dynamodb"]),
    ],
)
def test_a_gateway_endpoint_is_made_only_where_no_other_is(tables, tags, made):
    """AWS refuses a second one in a route table; the installation's own stays as it is."""
    vpc = Vpc(id="vpc-1", subnet_ids=["one", "two"], route_table_ids=["rtb-1", "rtb-2"])
    name = "com.amazonaws.us-west-2.s3"
    endpoints = [
        {"ServiceName": name, "RouteTableIds": tables, "Tags": tags},
        {"ServiceName": "com.amazonaws.us-west-2.sqs"},
    ]
    assert missing(vpc, endpoints, "demo") == made


def test_an_endpoint_that_is_going_is_not_there():
    """Another installation's, while that is removed: nobody would make one later."""
    vpc = Vpc(id="vpc-1", subnet_ids=["one", "two"], route_table_ids=["rtb-1"])
    going = {
        "ServiceName": "com.amazonaws.us-west-2.s3",
        "RouteTableIds": ["rtb-1"],
        "State": "deleting",
    }
    assert missing(vpc, [going], "demo") == ["s3", "dynamodb"]
    assert missing(vpc, [going | {"State": "Available"}], "demo") == ["dynamodb"]


def test_a_public_load_balancer_is_put_into_the_subnets_with_an_internet_gateway():
    """One in each zone; too few are refused, as AWS would after minutes."""
    subnets = [subnet(name, name[-1]) for name in ("one-a", "two-b", "out-a", "out-b")]
    tables = [
        table("rtb-1", ["out-a", "out-b"], GatewayId="igw-1"),
        table("rtb-2", ["one-a", "two-b"], NatGatewayId="nat-1"),
    ]
    found = chosen("vpc-1", subnets, tables, "demo", public=True)
    assert found.public_subnet_ids == ["out-a", "out-b"]
    assert chosen("vpc-1", subnets, tables, "demo").public_subnet_ids == ()
    with pytest.raises(Unfit, match="internet gateway in 1 zones"):
        chosen("vpc-1", subnets[:3], tables, "demo", public=True)


def test_a_vpc_with_too_few_zones_is_refused_with_what_it_lacks():
    """EKS wants two."""
    tables = [table("rtb-2", ["one"], NatGatewayId="nat-1", State="blackhole")]
    with pytest.raises(Unfit, match="in 0 zones; EKS wants 2"):
        chosen("vpc-1", [subnet("one", "a")], tables, "demo")


@mock_aws
def test_what_ec2_says_of_a_vpc_is_understood():
    """Subnets, their route tables, and an endpoint that was there before."""
    ec2 = boto3.client("ec2", region_name="us-west-2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    rtb = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    made = {}
    for name, zone, cidr in [
        ("small", "a", "0.0/28"),
        ("wide", "a", "16.0/20"),
        ("b", "b", "8.0/24"),
    ]:
        made[name] = ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{cidr}", AvailabilityZone=f"us-west-2{zone}"
        )["Subnet"]["SubnetId"]
        ec2.associate_route_table(RouteTableId=rtb, SubnetId=made[name])
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=made["b"], AllocationId=address)["NatGateway"]
    ec2.create_route(
        RouteTableId=rtb, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"]
    )
    service = "com.amazonaws.us-west-2."
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"{service}s3", RouteTableIds=[rtb])
    found = Vpc(
        id=vpc,
        subnet_ids=[made["wide"], made["b"]],
        route_table_ids=[rtb],
        gateway_endpoints=["dynamodb"],
    )
    assert read_vpc(ec2, vpc, "demo") == found
    ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"{service}sqs",
        VpcEndpointType="Interface",
        SubnetIds=[made["b"]],
    )
    assert read_vpc(ec2, vpc, "demo") == replace(found, private_services=True)
