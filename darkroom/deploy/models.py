"""The models' weights in their bucket, where pods that have it mounted find them."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.deploy.errors import NotReady
from darkroom.deploy.step import Standing
from jobs.catalogue import Catalogue
from records.errors import MISSING, ObjectMissing, translated

#: Of the bucket, and all that pods see of it; of the repository, too.
_FOLDER = "models"
#: In every image; what else lies in that folder here is in none.
_BUNDLED = frozenset({f"{_FOLDER}/demo"})
_INDEX = "model_index.json"
_SHA = "darkroom-sha256"


def paths_of(catalogue: Catalogue) -> tuple[str, ...]:
    """Those of all models of all runtimes, each once."""
    runtimes = catalogue.runtimes.values()
    return tuple(sorted({model.path for each in runtimes for model in each.models.values()}))


def elsewhere(catalogue: Catalogue) -> bool:
    """Whether there are models that no image brings."""
    return not _BUNDLED.issuperset(paths_of(catalogue))


@dataclass(frozen=True, kw_only=True)
class Models:
    """Folders in Diffusers' layout: sent from here, if they are here, else put there by hand."""

    s3: Any
    bucket: str
    #: As runtimes.yaml has them, below `root` here and below the bucket there.
    paths: Collection[str]
    root: Path

    name = "models"
    takes = "seconds for the bundled one"

    def check(self) -> Standing:
        """Each file by its hash; of a model that is not here, whether anything is there."""
        done = (
            not self._astray()
            and not self._missing()
            and all(self._same(key, file) for key, file in self._keys())
        )
        return Standing(done=done, says=", ".join(self.paths) if done else "")

    def apply(self) -> None:
        """Upload what is not there; `NotReady` names what somebody else has to put there."""
        if astray := self._astray():
            raise NotReady(
                f"{', '.join(astray)}: what pods see of the bucket is {_FOLDER}/. Let the path in "
                "runtimes.yaml begin with that"
            )
        for key, file in self._keys():
            if self._same(key, file):
                continue
            # In parts: S3 takes no more than 5 GiB at once, and there are larger weights. As a
            # stream: of a file's name boto3 makes errors of its own.
            with translated(f"S3 PutObject {key}"), file.open("rb") as body:
                more = {"Metadata": {_SHA: _digest(file)}}
                self.s3.upload_fileobj(body, self.bucket, key, ExtraArgs=more)
        if missing := self._missing():
            commands = "; ".join(
                f"aws s3 sync FOLDER s3://{self.bucket}/{path}" for path in missing
            )
            raise NotReady(
                f"{', '.join(missing)}: neither in this repository nor in the bucket of models. "
                f"Put it there, in Diffusers' layout: {commands}"
            )

    def undo(self) -> None:
        """Nothing: the bucket is Terraform's, and stays if it may not be deleted."""

    def _astray(self) -> list[str]:
        return [path for path in self.paths if not path.startswith(f"{_FOLDER}/")]

    def _missing(self) -> list[str]:
        return [p for p in self.paths if not (self._is_here(p) or self._is_there(p))]

    def _is_here(self, path: str) -> bool:
        return (self.root / path / _INDEX).is_file()

    def _is_there(self, path: str) -> bool:
        index = f"{path}/{_INDEX}"
        with translated(f"S3, bucket {self.bucket}"):
            found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=index, MaxKeys=1)
        return bool(found.get("KeyCount"))

    def _keys(self) -> Iterator[tuple[str, Path]]:
        for path in filter(self._is_here, self.paths):
            for file in sorted((self.root / path).rglob("*")):
                if file.is_file():
                    yield str(file.relative_to(self.root)), file

    def _same(self, key: str, file: Path) -> bool:
        try:
            with translated(f"S3 HeadObject {key}", missing=MISSING):
                found = self.s3.head_object(Bucket=self.bucket, Key=key)
        except ObjectMissing:
            return False
        return bool(found["Metadata"].get(_SHA) == _digest(file))


def _digest(file: Path) -> str:
    with file.open("rb") as body:
        return hashlib.file_digest(body, "sha256").hexdigest()
