"""Which names in an account are those of one installation, exactly as infra/terraform forms them.

`darkroom-dev-jobs` begins like `darkroom`, and is of another installation: a beginning decides only
where what follows can be no part of an installation's name.
"""

from collections.abc import Collection
from dataclasses import dataclass

from darkroom.deploy.inbox import is_inbox
from darkroom.names import queues_of

#: As Terraform's files name them behind the installation's name.
FUNCTIONS = ("api", "authorizer")
_ROLES = (
    "api", "authorizer", "bridge", "dead-letter-worker", "sweeper", "webhook-worker", "ray-head",
    "replica", "deep-sleep", "batch-job", "telemetry", "keda", "karpenter", "s3-csi", "vpc-cni",
    "snapshot-builder", "cluster", "node", "karpenter-node", "apigateway-logs",
    "apigateway-authorizer",
)  # fmt: skip
#: The usage plan that there is, where nobody says others.
_TIERS = ("standard",)
#: By which target groups are told apart.
_NODE_PORTS = ("30080", "30800", "30826")


@dataclass(frozen=True, kw_only=True)
class Names:
    """All names of one installation."""

    installation: str
    account: str
    region: str
    #: Those that it was deployed with: their names are parts of queues' names.
    runtimes: Collection[str]

    def owns(self, service: str, called: str) -> bool:
        """Whether what a service lists under that name, URL or ARN is this installation's."""
        name = called.rpartition("/")[2] if "://" in called else called
        if name.startswith("arn:"):
            name = name.rpartition(":")[2]
        if name in self._exact(service):
            return True
        if service == "sqs":
            return is_inbox(name, self.installation)
        return name.startswith(tuple(self._folders(service)))

    @property
    def job_queues(self) -> dict[str, str]:
        """Queues from which bridges take jobs -> what comes behind the installation's name."""
        behind = [queue for runtime in self.runtimes for queue in queues_of(runtime)]
        return {f"{self.installation}-{each}": each for each in behind}

    @property
    def dead_letter_queues(self) -> dict[str, str]:
        """Queues from which the dead-letter workers give jobs back -> the runtime."""
        return {f"{self.installation}-{each}-dead-letters": each for each in self.runtimes}

    @property
    def aside_queues(self) -> set[str]:
        """Queues of jobs that wait for a person."""
        parked = {f"{self.installation}-{each}-parked" for each in self.runtimes}
        return {*parked, f"{self.installation}-unrouted"}

    def _exact(self, service: str) -> set[str]:
        own, place = self.installation, f"{self.account}-{self.region}"
        if service == "sqs":
            named = {f"{own}-{each}" for each in ("webhooks", "undelivered", "interruptions")}
            return {*self.job_queues, *self.dead_letter_queues, *self.aside_queues, *named}
        whole = {
            "apigateway": [own],
            "eks": [own],
            "cloudformation": [f"{own}Stack"],
            "cloudwatch": [own],
            "budgets": [own],
            "xray": [own],
            "kms": [f"alias/{own}-messaging"],
            "elbv2": [own],
            "logs": [
                *(f"/aws/lambda/{own}-{each}" for each in FUNCTIONS),
                f"/aws/apigateway/{own}",
            ],
        }
        behind = {
            "s3": [f"outputs-{place}", f"models-{place}", f"{place}-tfstate"],
            "sns": ["jobs", "notices", "alarms"],
            "dynamodb": ["jobs", "keys"],
            "lambda": FUNCTIONS,
            "apigateway": _TIERS,
            "events": ["health", "spot", "rebalance", "state-change", "capacity-block"],
            "iam": _ROLES,
            "elbv2": _NODE_PORTS,
            "cloudwatch": self._alarms(),
        }
        return {*whole.get(service, ()), *(f"{own}-{each}" for each in behind.get(service, ()))}

    def _alarms(self) -> list[str]:
        of_job_queues = ("oldest-message", "stuck")
        found = [f"{each}-{what}" for each in self.job_queues.values() for what in of_job_queues]
        last = ("dead-letters", "parked")
        found += [f"{each}-{what}" for each in self.runtimes for what in last]
        found += ["unrouted", "undelivered", "without-attributes"]
        return [*found, "gpu-quota-on-demand", "gpu-quota-spot"]

    def _folders(self, service: str) -> list[str]:
        """Beginnings that end where the installation's name does."""
        own = self.installation
        found = {
            "logs": [f"/aws/eks/{own}/", f"/aws/containerinsights/{own}/", f"/darkroom/{own}/"],
            # Karpenter's instance profiles: the cluster's name, and a hash.
            "iam": [f"{own}_"],
            "secretsmanager": [f"{own}/"],
            "ecr": [f"{own}/"],
        }
        return found.get(service, [])
