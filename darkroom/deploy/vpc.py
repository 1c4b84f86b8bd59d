"""An existing VPC: which of its subnets nodes can live in."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from darkroom.deploy.errors import Unfit
from darkroom.deploy.leftovers import INSTALLATION_TAG
from darkroom.deploy.wanted import Vpc
from darkroom.names import discovery_tag
from records.errors import translated

_ZONES = 2
#: EKS refuses control planes there, as network.tf has it. By id: names differ by account.
CLOSED = frozenset({"cac1-az3", "use1-az3", "usw1-az2"})


def read_vpc(ec2: Any, vpc: str, installation: str, *, public: bool = False) -> Vpc:
    """The VPC with its private subnets, and public ones if asked; `Unfit` says what it lacks."""
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    with translated(f"EC2, {vpc}"):
        subnets = ec2.describe_subnets(Filters=mine)["Subnets"]
        tables = ec2.describe_route_tables(Filters=mine)["RouteTables"]
        endpoints = ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
    found = chosen(vpc, subnets, tables, installation, public=public)
    return replace(
        found,
        gateway_endpoints=missing(found, endpoints, installation),
        private_services=any(each.get("VpcEndpointType") == "Interface" for each in endpoints),
    )


def missing(vpc: Vpc, endpoints: Iterable[Mapping[str, Any]], installation: str) -> list[str]:
    """Gateway endpoints that none but the installation itself has put into the route tables."""
    own = {"Key": INSTALLATION_TAG, "Value": installation}
    there = {
        each["ServiceName"].rpartition(".")[2]
        for each in endpoints
        if own not in each.get("Tags", ())
        and each.get("State", "available").lower() in ("available", "pending")
        and not set(vpc.route_table_ids).isdisjoint(each.get("RouteTableIds", ()))
    }
    return [service for service in vpc.gateway_endpoints if service not in there]


def chosen(
    vpc: str,
    subnets: Sequence[Mapping[str, Any]],
    tables: Sequence[Mapping[str, Any]],
    installation: str,
    *,
    public: bool = False,
) -> Vpc:
    """Subnets whose way out is no internet gateway: nodes have no public address."""
    found: dict[str, tuple[str, str]] = {}
    # One for each zone is enough, and all that Karpenter and a load balancer need.
    outside: dict[str, str] = {}
    for subnet in sorted(subnets, key=functools.partial(_rank, installation)):
        table = _table_of(subnet["SubnetId"], tables)
        way = _way_out(table) if table is not None else None
        zone = subnet["AvailabilityZone"]
        if way is not None and way.startswith("igw-"):
            outside.setdefault(zone, subnet["SubnetId"])
        elif table is not None and way is not None and subnet["AvailabilityZoneId"] not in CLOSED:
            found.setdefault(zone, (subnet["SubnetId"], table["RouteTableId"]))
    if len(found) < _ZONES:
        raise Unfit(
            f"{vpc} has private subnets with a way to the internet in {len(found)} zones; EKS "
            f"wants {_ZONES}, and none of {', '.join(sorted(CLOSED))}. A way is a route to "
            "0.0.0.0/0 by a NAT gateway, a transit gateway or the like, not by an internet gateway"
        )
    if public and len(outside) < _ZONES:
        raise Unfit(
            f"{vpc} has subnets with a route to an internet gateway in {len(outside)} zones; a "
            f"load balancer wants {_ZONES} for --expose public"
        )
    pairs = [found[zone] for zone in sorted(found)]
    return Vpc(
        id=vpc,
        subnet_ids=[subnet for subnet, _ in pairs],
        route_table_ids=sorted({table for _, table in pairs}),
        public_subnet_ids=[outside[zone] for zone in sorted(outside)] if public else (),
    )


def _rank(installation: str, subnet: Mapping[str, Any]) -> tuple[bool, int, str]:
    """What the installation has already, else the subnet with the most free addresses.

    Free addresses count by powers of two: a public subnet bears no mark, and its load balancer
    should not move for one address more or less.
    """
    mark = discovery_tag(installation)
    marked = any(tag["Key"] == mark for tag in subnet.get("Tags", ()))
    free: int = subnet["AvailableIpAddressCount"]
    return not marked, -free.bit_length(), subnet["SubnetId"]


def _table_of(subnet: str, tables: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    main = None
    for table in tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet:
                return table
            if association.get("Main"):
                main = table
    return main


def _way_out(table: Mapping[str, Any]) -> str | None:
    """The gateway to the internet, empty where it is none of the kinds that say so."""
    for route in table.get("Routes", ()):
        if route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("State") != "blackhole":
            return str(route.get("GatewayId", ""))
    return None
