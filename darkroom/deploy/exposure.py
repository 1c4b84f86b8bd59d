"""Who may come from outside: `--expose` and what belongs to it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from darkroom.deploy.errors import Unfit
from darkroom.deploy.quota import Finding
from darkroom.names import EXPOSURES
from records.errors import ObjectMissing, RecordsError, translated

#: The page's login: its user, and the last part of its password's name in Secrets Manager.
UI_USER, UI_PASSWORD = "darkroom", "ui-password"
_HOSTNAME = re.compile(r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$")
_ZONE = re.compile(r"^[A-Z0-9]{2,32}$")
#: Four ports for each: a security group has 60 rules.
_MOST_CIDRS = 15


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """A load balancer, or none. Terraform refuses the same, after ten seconds more."""

    mode: str = "none"
    hostname: str | None = None
    #: Hosted zone of Route 53 in which the hostname is made and the certificate is proved.
    zone: str | None = None
    #: Who may come; none: for `internal` the VPC.
    cidrs: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.mode not in EXPOSURES:
            raise Unfit(f"--expose is one of {', '.join(EXPOSURES)}")
        if not self and (self.hostname or self.zone or self.cidrs):
            raise Unfit(
                "--hostname, --zone and --expose-cidr are a load balancer's: say --expose internal "
                "or --expose public"
            )
        if bool(self.hostname) != bool(self.zone):
            raise Unfit("--hostname and --zone belong together: the zone proves whose the name is")
        if self.hostname and not _HOSTNAME.match(self.hostname):
            raise Unfit(f"--hostname {self.hostname}: a full name, such as darkroom.example.org")
        if self.zone and not _ZONE.match(self.zone):
            raise Unfit(f"--zone {self.zone}: a hosted zone's id, such as Z0123456789ABCDEFGHIJ")
        if self.mode == "public" and not self.hostname:
            raise Unfit(
                "--expose public speaks HTTPS only: say --hostname and --zone, for its certificate"
            )
        if self.mode == "public" and not self.cidrs:
            raise Unfit("--expose public wants --expose-cidr: who may come, such as 192.0.2.0/24")
        self._check_cidrs()

    def _check_cidrs(self) -> None:
        if len(self.cidrs) > _MOST_CIDRS:
            raise Unfit(f"--expose-cidr: at most {_MOST_CIDRS}, as a security group has 60 rules")
        for cidr in self.cidrs:
            try:
                network = IPv4Network(cidr)
            except ValueError as error:
                raise Unfit(f"--expose-cidr {cidr}: no IPv4 network ({error})") from error
            if network.prefixlen == 0 and not self.hostname:
                raise Unfit(
                    f"--expose-cidr {cidr} is the whole internet, and without --hostname passwords "
                    "go over plain HTTP: name networks, or say --hostname and --zone"
                )

    def __bool__(self) -> bool:
        return self.mode != "none"

    def variable(self, runtime: str) -> dict[str, Any]:
        """Terraform's variable `exposure`."""
        named = {"hostname": self.hostname, "zone_id": self.zone}
        return {
            "mode": self.mode,
            "runtime": runtime,
            "cidrs": list(self.cidrs),
            **{name: value for name, value in named.items() if value},
        }


def judged_zone(route53: Any, exposure: Exposure) -> Iterator[Finding]:
    """Whether the zone can prove the name: a certificate would wait for it in vain."""
    if exposure.zone is None:
        return
    try:
        with translated("Route 53 GetHostedZone", missing=frozenset({"NoSuchHostedZone"})):
            zone = route53.get_hosted_zone(Id=exposure.zone)["HostedZone"]
    except ObjectMissing:
        yield Finding(fatal=True, text=f"--zone {exposure.zone}: the account has no such zone")
        return
    except RecordsError as error:
        yield Finding(fatal=False, text=f"--zone {exposure.zone} is not readable ({error})")
        return
    name = zone["Name"].rstrip(".")
    if zone.get("Config", {}).get("PrivateZone"):
        yield Finding(
            fatal=True,
            text=f"--zone {exposure.zone} ({name}) is private: ACM looks for its proof in a public "
            "one, also for an address that only leads into the VPC",
        )
    if exposure.hostname != name and not str(exposure.hostname).endswith(f".{name}"):
        yield Finding(fatal=True, text=f"--hostname {exposure.hostname} is not within {name}")
