"""An installation, and the steps by which it is made, in order."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from darkroom.cluster.images import Images
from darkroom.cluster.installation import Installation
from darkroom.cluster.snapshot import Snapshot, resolve
from darkroom.deploy.access import KubeAccess
from darkroom.deploy.account import Account
from darkroom.deploy.builder import judged_builder
from darkroom.deploy.by_topic import ByTopic
from darkroom.deploy.cluster import Cluster, write_kubeconfig
from darkroom.deploy.daemons import Daemons
from darkroom.deploy.definitions import CustomResources
from darkroom.deploy.images import GivenImages, PushedImages
from darkroom.deploy.infrastructure import Infrastructure
from darkroom.deploy.job_nodes import ClusterNodes
from darkroom.deploy.journal import Journal
from darkroom.deploy.manifests import AppliedManifests, RenderedManifests
from darkroom.deploy.memory import Memory
from darkroom.deploy.models import Models, paths_of
from darkroom.deploy.operators import Operator, operators_of
from darkroom.deploy.ownership import Names
from darkroom.deploy.preflight import Preflight, demand_of
from darkroom.deploy.program import ALL, Programs, find
from darkroom.deploy.secrets import KubernetesSecrets, read_secret
from darkroom.deploy.smoke import SmokeTest
from darkroom.deploy.snapshot_step import NodeSnapshot, contents_of
from darkroom.deploy.state_bucket import StateBucket
from darkroom.deploy.step import Step
from darkroom.deploy.terraform import Backend, Terraform
from darkroom.deploy.wanted import MODULE, ROOT, Wanted
from darkroom.names import CPU_NODES, GPU_NODES
from darkroom.prices import Prices
from jobs.catalogue import Catalogue, Runtime


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One installation and all that its steps work on. What it reads, it reads when asked."""

    wanted: Wanted
    account: Account
    connect: Callable[[str], Any]
    programs: Programs
    journal: Journal
    catalogue: Catalogue
    #: Makes the Lambda's zip if it is not there.
    package: Callable[[], object]
    unlock: str | None = None
    adopt: bool = False
    allow_destroy: bool = False
    delete_data: bool = False
    drain_s: float = 0
    #: Those that it was deployed with; None: those of the catalogue.
    runtimes: Collection[str] | None = None
    #: An emulator, whose buckets have no host names of their own.
    emulated: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    module: Path = MODULE

    def deploy(self) -> list[Step]:
        """From nothing to a picture."""
        return [
            self.preflight,
            self.state_bucket,
            self.infrastructure,
            # Early: Serve does not get ready without them, and they may be for somebody to bring.
            self.models,
            self.images,
            # Before the snapshot: what GPU nodes run beside our images only the cluster knows.
            self.access,
            self.snapshot,
            self.rendered,
            CustomResources(cluster=self.cluster, folder=self.wanted.home / "crds"),
            # Before KEDA: its chart puts a role into the namespace that it watches. This makes it.
            KubernetesSecrets(
                cluster=self.cluster,
                secrets=self.connect("secretsmanager"),
                installation=self.wanted.name,
                exposed=bool(self.wanted.exposure),
            ),
            *self.operators(),
            AppliedManifests(
                cluster=self.cluster, folder=self.wanted.manifests, say=self.journal.say
            ),
            self.smoke,
        ]

    @property
    def names(self) -> Names:
        """What is called after it."""
        runtimes = self.catalogue.runtimes if self.runtimes is None else self.runtimes
        return Names(
            installation=self.wanted.name,
            account=self.account.id,
            region=self.wanted.region,
            runtimes=tuple(runtimes),
        )

    def reached(self) -> Cluster | None:
        """The cluster, if there is one."""
        there = write_kubeconfig(
            self.connect("eks"), self.wanted.name, self.wanted.region, self.wanted.kubeconfig
        )
        return self.cluster if there else None

    def operators(self) -> list[Operator]:
        """In the order of their installation."""
        return operators_of(self.cluster, self.wanted.manifests)

    @property
    def cluster(self) -> Cluster:
        """The cluster by its kubeconfig, whether that is there or not."""
        return Cluster(programs=self.programs, kubeconfig=self.wanted.kubeconfig)

    @property
    def access(self) -> KubeAccess:
        return KubeAccess(
            eks=self.connect("eks"),
            cluster=self.cluster,
            installation=self.wanted.name,
            region=self.wanted.region,
        )

    @property
    def preflight(self) -> Preflight:
        return Preflight(
            connect=self.connect,
            programs=lambda: [find(each, self.programs.environ.get("PATH")) for each in ALL],
            region=self.wanted.region,
            installation=self.wanted.name,
            wanted=demand_of(self.wanted, self.catalogue),
            platforms=self.images.platforms,
            builder=partial(judged_builder, self.programs),
            snapshot=self.wanted.snapshot is not None or self.wanted.build_snapshot,
            say=self.journal.say,
            exposure=self.wanted.exposure,
        )

    @property
    def state_bucket(self) -> StateBucket:
        return StateBucket(
            s3=self.connect("s3"),
            bucket=self.wanted.state_bucket(self.account.id),
            region=self.wanted.region,
            partition=self.account.partition,
            installation=self.wanted.name,
            delete=self.delete_data,
        )

    @property
    def memory(self) -> Memory:
        return Memory(s3=self.connect("s3"), bucket=self.wanted.state_bucket(self.account.id))

    @property
    def infrastructure(self) -> Infrastructure:
        return Infrastructure(
            terraform=self.terraform,
            connect=self.connect,
            installation=self.wanted.name,
            outputs=self.wanted.outputs,
            package=self.package,
            remember=lambda: self.memory.keep(self.wanted, self.catalogue.runtimes),
            unlock=self.unlock,
            adopt=self.adopt,
            delete_data=self.delete_data,
            allow_destroy=self.allow_destroy,
            say=self.journal.say,
        )

    @property
    def terraform(self) -> Terraform:
        """The root module of the repository, with a state of this installation's own."""
        wanted = self.wanted
        return Terraform(
            programs=self.programs,
            module=self.module,
            home=self.wanted.home,
            backend=Backend(
                bucket=wanted.state_bucket(self.account.id),
                key=wanted.state_key,
                region=wanted.region,
                path_style=self.emulated,
            ),
            var_files=[self.module / f"envs/{wanted.overlay}.tfvars", wanted.write_variables()],
            environ=self.environ,
        )

    @property
    def images(self) -> PushedImages | GivenImages:
        if self.wanted.images is not None:
            return GivenImages(given=self.wanted.images, file=self.wanted.images_file)
        gpus = any(each.replicas.num_gpus for each in self.catalogue.runtimes.values())
        return PushedImages(
            ecr=self.connect("ecr"),
            programs=self.programs,
            installation=self.wanted.name,
            architecture="arm64",
            file=self.wanted.images_file,
            targets=("bridge", "serve-cpu", *(["serve-gpu"] if gpus else []), "ui"),
        )

    @property
    def snapshot(self) -> NodeSnapshot:
        return NodeSnapshot(
            wanted=self.wanted,
            ec2=self.connect("ec2"),
            ssm=self.connect("ssm"),
            images=self.wanted.images_file,
            contents=lambda images: [
                *contents_of(images, self.connect("ecr")),
                *Daemons(cluster=self.cluster, say=self.journal.say).contents(),
            ],
            say=self.journal.say,
        )

    @property
    def rendered(self) -> RenderedManifests:
        return RenderedManifests(
            catalogue=self.catalogue,
            outputs=self.wanted.outputs,
            images=self.wanted.images_file,
            snapshot=self._snapshot,
            overlay=self.wanted.overlay,
            folder=self.wanted.manifests,
            registry=self.wanted.registry,
        )

    @property
    def models(self) -> Models:
        return Models(
            s3=self.connect("s3"),
            bucket=self.wanted.bucket or self._bucket_name("models"),
            paths=paths_of(self.catalogue),
            root=ROOT,
        )

    @property
    def smoke(self) -> SmokeTest:
        runtime = self.catalogue.runtimes[self.wanted.runtime]
        on_gpu = runtime.replicas.num_gpus > 0
        return SmokeTest(
            api_url=lambda: self.installation.api_url,
            api_key=lambda: self.secret("first-key"),
            sqs=self.connect("sqs"),
            sns=self.connect("sns"),
            notices_topic=lambda: self._topic("NOTICES"),
            installation=self.wanted.name,
            model=_default_model(runtime),
            say=self.journal.say,
            by_topic=self._by_topic if self.account.partition == "aws-cn" else None,
            nodes=ClusterNodes(cluster=self.cluster, kind=GPU_NODES if on_gpu else CPU_NODES),
            queues=lambda: self.installation.job_queues,
            cached=lambda: self._snapshot(self._given()) is not None,
            hour_usd=Prices.listed().instance_hour(
                "g5.xlarge" if on_gpu else "t4g.large", spot=on_gpu
            ),
        )

    @property
    def _by_topic(self) -> ByTopic:
        return ByTopic(
            sns=self.connect("sns"),
            s3=self.connect("s3"),
            topic=lambda: self._topic("JOBS"),
            runtime=self.wanted.runtime,
        )

    def _topic(self, word: str) -> str:
        return str(self.installation.config("webhooks")[f"DARKROOM_{word}_TOPIC_ARN"])

    @cached_property
    def installation(self) -> Installation:
        """What Terraform has made."""
        return Installation.from_outputs(self.wanted.outputs)

    def secret(self, name: str) -> str:
        """One of the installation's secrets; `ObjectMissing` if it has none of that name."""
        return read_secret(self.connect("secretsmanager"), self.wanted.name, name)

    def _snapshot(self, images: Images) -> Snapshot | None:
        return resolve(
            self.connect("ec2"), given=self.wanted.snapshot, images=images.on_gpu_nodes()
        )

    def _given(self) -> Images:
        return Images.from_file(self.wanted.images_file, digests_only=True)

    def _bucket_name(self, word: str) -> str:
        return f"{self.wanted.name}-{word}-{self.account.id}-{self.wanted.region}"


def _default_model(runtime: Runtime) -> str:
    return runtime.default_model or next(iter(runtime.models))
