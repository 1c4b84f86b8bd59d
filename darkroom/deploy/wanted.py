"""What a person asked for: one installation, by name and region."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from darkroom.deploy.errors import Unfit
from darkroom.deploy.exposure import Exposure
from darkroom.deploy.options import Options
from darkroom.names import OVERLAYS

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "infra/terraform"
_NAME = re.compile(r"^[a-z][a-z0-9-]{1,22}[a-z0-9]$")


@dataclass(frozen=True, kw_only=True)
class Vpc:
    """A VPC that is there already, and what of it the cluster is to use."""

    id: str
    subnet_ids: Sequence[str]
    route_table_ids: Sequence[str]
    #: Of a load balancer for everybody.
    public_subnet_ids: Sequence[str] = ()
    #: Those to make: what its route tables have already cannot be made again.
    gateway_endpoints: Sequence[str] = ("s3", "dynamodb")
    #: Whether services of AWS may have addresses in it, by interface endpoints.
    private_services: bool = False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One installation. Everything else follows from it, so that a second run finds the first."""

    name: str
    region: str
    overlay: str = "dev"
    #: Bucket of models that is there already; None: one is made.
    bucket: str | None = None
    #: Snapshot for GPU nodes; None: the newest that has exactly these images, if there is one.
    snapshot: str | None = None
    build_snapshot: bool = False
    #: Of runtimes.yaml: whose model is looked after, who is asked in the smoke test, and whose
    #: Serve and dashboard are exposed.
    runtime: str = "demo"
    exposure: Exposure = field(default_factory=Exposure)
    #: Who reaches the cluster's endpoint; none: this machine, from wherever it is `here`.
    admin_cidrs: Sequence[str] = ()
    here: str | None = None
    vpc: Vpc | None = None
    #: IAM policy that bounds all roles that are made; whoever deploys by our policies must name it.
    boundary: str | None = None
    #: Where the operators' images come from; None: from their makers.
    registry: str | None = None
    #: A file of images that are pushed already; None: they are built.
    images: Path | None = None
    #: As the command line says it: what it leaves out is written down, or usual.
    said: Options = field(default=Options(values={}), compare=False)
    #: Variables of Terraform over those above, for tests.
    extra: Mapping[str, Any] = field(default_factory=dict)
    #: Below which the files of this installation lie.
    work: Path = Path("build/deploy")

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise Unfit(
                f"--name {self.name}: 3 to 24 lower-case letters, digits and hyphens, "
                "beginning with a letter"
            )
        if self.overlay not in OVERLAYS:
            raise Unfit(f"--overlay is one of {', '.join(OVERLAYS)}")
        if self.snapshot and self.build_snapshot:
            raise Unfit("--snapshot names one that is there, --build-snapshot makes one: not both")

    @property
    def home(self) -> Path:
        """Where this installation's log, variables, outputs and kubeconfig are."""
        return self.work / f"{self.name}-{self.region}"

    @property
    def outputs(self) -> Path:
        """`terraform output -json`."""
        return self.home / "outputs.json"

    @property
    def images_file(self) -> Path:
        """Name of each image -> the image by digest."""
        return self.home / "images.json"

    @property
    def manifests(self) -> Path:
        """The folder that is applied."""
        return self.home / "manifests"

    @property
    def kubeconfig(self) -> Path:
        """Of this installation alone."""
        return self.home / "kubeconfig"

    def state_bucket(self, account: str) -> str:
        """The bucket of Terraform's state; bucket names are one namespace for the whole world."""
        return f"{self.name}-{account}-{self.region}-tfstate"

    @property
    def state_key(self) -> str:
        return "terraform.tfstate"

    def variables(self) -> dict[str, Any]:
        """Terraform's variables, over those of the overlay."""
        given: dict[str, Any] = {"name": self.name, "region": self.region}
        if cidrs := self.admin_cidrs or tuple(filter(None, [self.here])):
            given["admin_cidrs"] = list(cidrs)
        if self.bucket:
            given["models_bucket"] = self.bucket
        if self.boundary:
            given["permissions_boundary"] = self.boundary
        if self.exposure:
            given["exposure"] = self.exposure.variable(self.runtime)
        if self.vpc:
            given["vpc"] = {
                "id": self.vpc.id,
                "subnet_ids": list(self.vpc.subnet_ids),
                "route_table_ids": list(self.vpc.route_table_ids),
                "public_subnet_ids": list(self.vpc.public_subnet_ids),
                "gateway_endpoints": list(self.vpc.gateway_endpoints),
                "private_services": self.vpc.private_services,
            }
        return given | dict(self.extra)

    def write_variables(self) -> Path:
        """The file for `-var-file`."""
        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home / "installation.tfvars.json"
        path.write_text(json.dumps(self.variables(), indent=2) + "\n", "utf-8")
        return path.resolve()

    def told(self, options: Options) -> "Wanted":
        """The same with what these say; a VPC is read by whoever has an account."""
        exposure = Exposure(
            mode=options.of("expose")[0],
            hostname=options.one("hostname"),
            zone=options.one("zone"),
            cidrs=options.of("expose-cidr"),
        )
        return replace(
            self,
            overlay=options.of("overlay")[0],
            bucket=options.one("bucket"),
            runtime=options.of("runtime")[0],
            exposure=exposure,
            admin_cidrs=options.of("admin-cidr"),
            boundary=options.one("permissions-boundary"),
            registry=options.one("registry"),
        )

    @property
    def options(self) -> Options:
        """What a later `deploy` need not say again.

        Not a snapshot or images: they are those of one release, and the next has others.
        """
        return Options.given(
            overlay=self.overlay,
            bucket=self.bucket,
            permissions_boundary=self.boundary,
            existing_vpc=self.vpc.id if self.vpc else None,
            runtime=self.runtime,
            registry=self.registry,
            expose=self.exposure.mode,
            hostname=self.exposure.hostname,
            zone=self.exposure.zone,
            expose_cidr=self.exposure.cidrs or None,
            admin_cidr=self.admin_cidrs or None,
        )

    def command(self, verb: str) -> str:
        """The command line that asks for the same again."""
        words = ["darkroom", verb, "--name", self.name, "--region", self.region]
        if verb == "deploy":
            words += self._deploy_words()
        else:
            words += [word for cidr in self.admin_cidrs for word in ("--admin-cidr", cidr)]
        return " ".join(words)

    def _deploy_words(self) -> list[str]:
        words = self.said.words()
        for name, given in (("--snapshot", self.snapshot), ("--images", self.images)):
            words += [name, str(given)] if given else []
        return words + (["--build-snapshot"] if self.build_snapshot else [])
