"""The address at which the cluster answers, and from which addresses it does."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any, cast

import httpx

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.errors import NotReady, ProgramFailed, Unfit
from darkroom.deploy.step import Standing
from records.errors import translated

#: Answers with the address that a request comes from.
_OWN_ADDRESS = "https://checkip.amazonaws.com"
_LOOK_S, _UPDATE_S, _ANSWER_S = 10, 1200, 120
#: A closed endpoint says nothing at all.
_PATIENCE = "--request-timeout=20s"


def own_network() -> str:
    """This machine's address as AWS sees it, as a network."""
    try:
        answer = httpx.get(_OWN_ADDRESS, timeout=10).raise_for_status().text.strip()
    except httpx.HTTPError as error:
        raise Unfit(
            f"{_OWN_ADDRESS} does not say this machine's address ({error}): give it by --admin-cidr"
        ) from error
    return f"{answer}/32"


@dataclass(frozen=True, kw_only=True)
class OpenedEndpoint:
    """The cluster answers this machine, also at an address that `deploy` has not heard of.

    Without Terraform: it would plan all the rest as well.
    """

    eks: Any
    cluster: Cluster
    installation: str
    #: Who is let in, if it does not answer; none: this machine.
    cidrs: Sequence[str]
    own: Callable[[], str] = own_network
    sleep: Callable[[float], None] = time.sleep

    name = "the cluster answers"
    takes = "2 to 10 minutes, to open its endpoint to this machine"

    def check(self) -> Standing:
        """Whether it does."""
        return Standing(done=self._fault() is None)

    def apply(self) -> None:
        """Let us in beside those who are let in already, and wait until we are."""
        access = self._settled()["resourcesVpcConfig"]
        # Of an endpoint that is closed EKS says 0.0.0.0/0.
        there = access.get("publicAccessCidrs", []) if access["endpointPublicAccess"] else []
        new = [each for each in self.cidrs or (self.own(),) if not _within(each, there)]
        if new:
            self._open([*there, *new])
        waited = 0.0
        while fault := self._fault():
            if not new or waited >= _ANSWER_S:
                raise NotReady(
                    f"{fault}\nThe endpoint is open to {', '.join([*there, *new])}. Is this "
                    "machine among them? If not, say its address by --admin-cidr. And is who we "
                    "are one of the cluster's administrators?"
                )
            self.sleep(_LOOK_S)
            waited += _LOOK_S

    def undo(self) -> None:
        """Whoever deploys next is let in alone."""

    def _fault(self) -> str | None:
        try:
            self.cluster.kubectl("get", "--raw", "/readyz", _PATIENCE)
        except ProgramFailed as failed:
            return str(failed)
        return None

    def _settled(self) -> Mapping[str, Any]:
        """The cluster, once no update is under way: EKS refuses a second one."""
        waited = 0.0
        while True:
            with translated("EKS DescribeCluster"):
                cluster = self.eks.describe_cluster(name=self.installation)["cluster"]
            if cluster["status"] != "UPDATING" or waited >= _UPDATE_S:
                return cast(Mapping[str, Any], cluster)
            self.sleep(_LOOK_S)
            waited += _LOOK_S

    def _open(self, cidrs: Sequence[str]) -> None:
        with translated("EKS UpdateClusterConfig"):
            update = self.eks.update_cluster_config(
                name=self.installation,
                resourcesVpcConfig={"endpointPublicAccess": True, "publicAccessCidrs": cidrs},
            )["update"]
        waited = 0.0
        while update["status"] == "InProgress" and waited < _UPDATE_S:
            self.sleep(_LOOK_S)
            waited += _LOOK_S
            with translated("EKS DescribeUpdate"):
                update = self.eks.describe_update(name=self.installation, updateId=update["id"])[
                    "update"
                ]
        if update["status"] != "Successful":
            why = "; ".join(each.get("errorMessage", "") for each in update.get("errors", ()))
            raise NotReady(
                f"the endpoint is not open to {', '.join(cidrs)}: the update is "
                f"{update['status']} after {waited:g} s. {why}".rstrip()
            )


def _within(cidr: str, others: Sequence[str]) -> bool:
    try:
        asked = IPv4Network(cidr, strict=False)
    except ValueError as error:
        raise Unfit(f"--admin-cidr {cidr}: no IPv4 network ({error})") from error
    # A person may have let in IPv6 networks as well.
    networks = (ip_network(each, strict=False) for each in others)
    return any(isinstance(each, IPv4Network) and asked.subnet_of(each) for each in networks)
