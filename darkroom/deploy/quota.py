"""Quotas of an account: which there are, what an installation needs of them, what to do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from darkroom.deploy.node_pools import GpuLimits


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One limit that AWS sets an account in a region."""

    service: str
    name: str
    #: Empty: it is found by words of its name, in lower case.
    code: str = ""
    called: tuple[str, ...] = ()
    #: What AWS gives a new account, where it says so.
    usual: float | None = None

    @property
    def title(self) -> str:
        """For people, who look it up by its code."""
        return f"{self.name} ({self.code})" if self.code else self.name

    def is_called(self, name: str) -> bool:
        """Whether AWS's `name` of a quota is that of this one."""
        return all(word in name.lower() for word in self.called)


GPU_ON_DEMAND = Quota(code="L-DB2E81BA", service="ec2", name="on-demand G and VT vCPUs", usual=0)
GPU_SPOT = Quota(code="L-3819A6DF", service="ec2", name="spot G and VT vCPUs", usual=0)
STANDARD = Quota(code="L-1216C47A", service="ec2", name="on-demand standard vCPUs", usual=5)
VPCS = Quota(code="L-F678F1CE", service="vpc", name="VPCs in a region", usual=5)
NATS = Quota(code="L-FE5A380F", service="vpc", name="NAT gateways in a zone", usual=5)
ADDRESSES = Quota(code="L-0263D0A3", service="ec2", name="Elastic IP addresses", usual=5)
BUCKETS = Quota(code="L-DC2B2D3D", service="s3", name="buckets in an account")
PUBLISHES = Quota(code="L-F8E2BA85", service="sns", name="SNS messages a second")
LAMBDAS = Quota(code="L-B99A9384", service="lambda", name="concurrent Lambdas", usual=1000)
#: AWS's pages tell neither its code nor its name; they call the feature both "volume initialization
#: rate" and "Provisioned Rate for Volume Initialization".
FILL_RATE = Quota(
    called=("rate", "initialization"),
    service="ebs",
    name="EBS volume initialisation, MiB/s together",
    usual=5000,
)
ALL = (
    GPU_ON_DEMAND, GPU_SPOT, STANDARD, VPCS, NATS, ADDRESSES, BUCKETS, PUBLISHES, LAMBDAS,
    FILL_RATE,
)  # fmt: skip

#: vCPUs of the smallest node that a replica fits on (g5.xlarge).
VCPUS_A_GPU = 4
#: MiB/s at which a GPU node's volume is filled from its snapshot.
FILL_MIB_S = 300


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What an installation may come to use at its largest."""

    #: Of the runtimes that there are; 0: none of them has a GPU.
    gpu_nodes: int
    gpu_limits: GpuLimits
    system_vcpus: int
    #: Of nodes for replicas without a GPU, and of bridges that find no room.
    other_vcpus: int
    new_vpc: bool
    nat_gateways: int
    buckets: int
    messages_a_second: float
    lambdas: int

    def of(self, quota: Quota) -> float:
        """What it needs of one quota."""
        needs: dict[Quota, float] = {
            GPU_ON_DEMAND: self._of_pool(self.gpu_limits.on_demand) * VCPUS_A_GPU,
            GPU_SPOT: self._of_pool(self.gpu_limits.spot) * VCPUS_A_GPU,
            STANDARD: self.system_vcpus + self.other_vcpus,
            VPCS: int(self.new_vpc),
            NATS: 1 if self.nat_gateways else 0,
            ADDRESSES: self.nat_gateways,
            BUCKETS: self.buckets,
            PUBLISHES: self.messages_a_second,
            LAMBDAS: self.lambdas,
            FILL_RATE: self.gpu_nodes * FILL_MIB_S,
        }
        return needs[quota]

    def _of_pool(self, limit: int) -> int:
        """Nodes of a NodePool: without a runtime yet, all that it may make."""
        return min(self.gpu_nodes or limit, limit)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of one quota; None: it could not be read, `why` says why."""

    limit: float | None
    used: float | None = None
    why: str = ""
    #: AWS's default: no limit of the account's own can be read.
    is_default: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One judgement. `fatal`: what was asked for cannot work at all."""

    fatal: bool
    text: str


def judged(demand: Demand, readings: Mapping[Quota, Reading], region: str) -> Iterator[Finding]:
    """Each quota that is too small, or of which nothing is known."""
    for quota, reading in readings.items():
        needed = demand.of(quota)
        if not needed:
            continue
        of_gpus = quota in (GPU_ON_DEMAND, GPU_SPOT)
        later = of_gpus and not demand.gpu_nodes
        wanted = "are needed" + " by a runtime with GPUs; there is none yet" * later
        if reading.limit is None:
            usual = f", usually {quota.usual:g}" if quota.usual is not None else ""
            yield Finding(
                fatal=False,
                text=f"{quota.title}: not readable ({reading.why}){usual}; {needed:g} {wanted}",
            )
            continue
        free = reading.limit - (reading.used or 0)
        if free < needed:
            used = f" of which {reading.used:g} are in use" if reading.used else ""
            default = " (AWS default)" if reading.is_default else ""
            yield Finding(
                # A default knows nothing of what AWS may have added.
                fatal=free <= 0 and not reading.is_default and not of_gpus,
                text=f"{quota.title}: {reading.limit:g}{default}{used}, {needed:g} {wanted}. "
                + ("AWS takes hours to days to answer. " if of_gpus else "")
                + raised(quota, needed + (reading.used or 0), region),
            )


def raised(quota: Quota, value: float, region: str) -> str:
    """The command that asks AWS for more."""
    if not quota.code:
        return f"Ask for more in the Service Quotas console, under {quota.service}"
    return (
        f"Ask for more: aws service-quotas request-service-quota-increase --region {region} "
        f"--service-code {quota.service} --quota-code {quota.code} --desired-value {value:g}"
    )


def largest_burst(
    limits: GpuLimits, readings: Mapping[Quota, Reading], *, snapshot: bool
) -> tuple[int, str] | None:
    """How many GPU nodes may come at once, and what ends it; None: not known."""
    together = 0
    for quota, most in ((GPU_SPOT, limits.spot), (GPU_ON_DEMAND, limits.on_demand)):
        reading = readings.get(quota)
        if reading is None or reading.limit is None:
            return None
        together += min(most, int((reading.limit - (reading.used or 0)) // VCPUS_A_GPU))
    bounds = [
        (limits.spot + limits.on_demand, "limits of the NodePools"),
        (together, "spot and on-demand vCPUs of G instances"),
    ]
    fill = readings.get(FILL_RATE)
    if snapshot and fill is not None and fill.limit is not None:
        bounds.append((int(fill.limit // FILL_MIB_S), FILL_RATE.name))
    return min(bounds, key=lambda bound: bound[0])
