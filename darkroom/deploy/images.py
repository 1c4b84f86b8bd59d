"""Our container images: built once for each state of the sources, kept by digest in ECR."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from darkroom.cluster.images import Images
from darkroom.deploy.builder import builder
from darkroom.deploy.errors import NotReady
from darkroom.deploy.program import DOCKER, Needed, Programs
from darkroom.deploy.step import Standing
from darkroom.deploy.wanted import ROOT
from records.errors import ObjectMissing, RecordsError, translated

#: Target of the Dockerfile -> the last part of its repository's name.
REPOSITORIES = {"bridge": "bridge", "serve-cpu": "serve", "serve-gpu": "serve", "ui": "ui"}
#: ECR's lifecycle rule keeps what has such a tag.
KEPT = "deployed-"
_BUILD_S, _PUSH_S = 3600, 3600
#: What the Dockerfile copies: another content is another image.
_SOURCES = (
    "Dockerfile", "pyproject.toml", "constraints.txt", "runtimes.yaml", "docker", "models/demo",
    "jobs", "records", "client", "api", "bridge", "serve_app", "darkroom", "gradio_ui",
)  # fmt: skip
_MISSING = frozenset({"ImageNotFoundException"})


@dataclass(frozen=True, kw_only=True)
class PushedImages:
    """All images in the installation's repositories; `file` says which, by digest."""

    ecr: Any
    programs: Programs
    installation: str
    #: Of the system group, as containers call it; GPU nodes are amd64.
    architecture: str
    file: Path
    #: Which targets; the GPU image takes an hour and is left out where no runtime has a GPU.
    targets: Sequence[str] = tuple(REPOSITORIES)

    name = "container images in ECR"
    takes = "10 to 40 minutes for new sources"

    def check(self) -> Standing:
        """Whether images of these sources are there, and kept."""
        found = {target: self._digest(target) for target in self.targets}
        if not all(found.values()):
            lacking = ", ".join(target for target, digest in found.items() if not digest)
            return Standing(done=False, says=f"to build: {lacking}")
        self._keep_and_write({target: str(digest) for target, digest in found.items()})
        return Standing(done=True, says=f"of these sources, {self._sources}")

    def platforms(self) -> set[str]:
        """Of the images that have to be built, as far as AWS can be asked."""
        try:
            lacking = [target for target in self.targets if self._digest(target) is None]
        except RecordsError:
            # Before the first Terraform there is no repository.
            lacking = list(self.targets)
        return {self._platform(target) for target in lacking}

    def apply(self) -> None:
        """Build and push what is not there."""
        program = builder(self.programs)
        registry = self._log_in(program)
        digests = {}
        for target in self.targets:
            if (digest := self._digest(target)) is None:
                self._build(program, registry, target)
                digest = self._digest(target)
            if digest is None:
                raise NotReady(f"{program.name} has pushed {target}, and ECR does not have it")
            digests[target] = digest
        self._keep_and_write(digests)

    def undo(self) -> None:
        """Nothing: the repositories are Terraform's, and go with their images."""

    def _digest(self, target: str) -> str | None:
        wanted = {
            "repositoryName": f"{self.installation}/{REPOSITORIES[target]}",
            "imageIds": [{"imageTag": self._tag(target)}],
        }
        try:
            with translated("ECR DescribeImages", missing=_MISSING):
                return str(self.ecr.describe_images(**wanted)["imageDetails"][0]["imageDigest"])
        except ObjectMissing:
            return None

    def _tag(self, target: str) -> str:
        return f"src-{self._sources}-{target}"

    @cached_property
    def _sources(self) -> str:
        # Megabytes of weights are hashed: once.
        return fingerprint(ROOT)

    def _platform(self, target: str) -> str:
        return f"linux/{'amd64' if target == 'serve-gpu' else self.architecture}"

    def _log_in(self, program: Needed) -> str:
        with translated("ECR GetAuthorizationToken"):
            [found] = self.ecr.get_authorization_token()["authorizationData"]
        user, _, token = base64.b64decode(found["authorizationToken"]).decode().partition(":")
        registry = str(found["proxyEndpoint"]).removeprefix("https://")
        self.programs.run(
            program, ["login", "--username", user, "--password-stdin", registry], given=token
        )
        return registry

    def _build(self, program: Needed, registry: str, target: str) -> None:
        image = f"{registry}/{self.installation}/{REPOSITORIES[target]}:{self._tag(target)}"
        self.programs.run(
            program,
            [
                "build",
                "--platform",
                self._platform(target),
                "--target",
                target,
                "--tag",
                image,
                # From a builder that docker's daemon is not itself: it pushes only what it has.
                *(["--load"] if program is DOCKER else []),
                ".",
            ],
            within=ROOT,
            limit_s=_BUILD_S,
        )
        self.programs.run(program, ["push", image], limit_s=_PUSH_S)

    def _keep_and_write(self, digests: Mapping[str, str]) -> None:
        images = {}
        for target, digest in digests.items():
            repository = f"{self.installation}/{REPOSITORIES[target]}"
            keep(self.ecr, repository, digest)
            with translated("ECR DescribeRepositories"):
                found = self.ecr.describe_repositories(repositoryNames=[repository])
            images[target] = f"{found['repositories'][0]['repositoryUri']}@{digest}"
        # A target that was left out is one that no runtime has: the CPU's stands for it.
        for target in REPOSITORIES:
            images.setdefault(target, images["serve-cpu"])
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(images, indent=2) + "\n", "utf-8")


@dataclass(frozen=True, kw_only=True)
class GivenImages:
    """Images that somebody has pushed, as a file names them."""

    given: Path
    file: Path

    name = "container images, as given"
    takes = "no time"

    def check(self) -> Standing:
        """Each by its digest."""
        Images.from_file(self.given, digests_only=True)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(self.given.read_bytes())
        return Standing(done=True, says=str(self.given))

    def platforms(self) -> set[str]:
        """None: nothing is built."""
        return set()

    def apply(self) -> None:
        """Nothing to do."""

    def undo(self) -> None:
        """Nothing of ours."""


def keep(ecr: Any, repository: str, digest: str) -> None:
    """Tag what is deployed, so that no lifecycle rule takes it away under a node's feet."""
    tag = KEPT + digest.removeprefix("sha256:")[:12]
    wanted = {"repositoryName": repository, "imageIds": [{"imageDigest": digest}]}
    try:
        with translated("ECR PutImage", missing=frozenset({"ImageAlreadyExistsException"})):
            [image] = ecr.batch_get_image(**wanted)["images"]
            ecr.put_image(
                repositoryName=repository,
                imageManifest=image["imageManifest"],
                # OCI's manifests need not say it themselves, and ECR refuses those that are silent.
                imageManifestMediaType=image["imageManifestMediaType"],
                imageTag=tag,
                imageDigest=digest,
            )
    except ObjectMissing:
        return  # tagged before


def fingerprint(root: Path) -> str:
    """A short hash of everything that goes into the images."""
    total = hashlib.sha256()
    for path in _files(root):
        total.update(str(path.relative_to(root)).encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def _files(root: Path) -> Iterator[Path]:
    for source in _SOURCES:
        place = root / source
        found = [place] if place.is_file() else sorted(place.rglob("*"))
        yield from (p for p in found if p.is_file() and "__pycache__" not in p.parts)
