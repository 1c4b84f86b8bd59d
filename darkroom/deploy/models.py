"""The default model's weights in the bucket of models."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.deploy.errors import NotReady
from darkroom.deploy.step import Standing
from records.errors import MISSING, ObjectMissing, translated

_SHA = "darkroom-sha256"


@dataclass(frozen=True, kw_only=True)
class DefaultModel:
    """A folder in Diffusers' layout: ours is in the repository, others are put there by hand."""

    s3: Any
    bucket: str
    #: As runtimes.yaml has it, below `root` here and below the bucket there.
    path: str
    root: Path

    name = "default model"
    takes = "seconds for the bundled one"

    def check(self) -> Standing:
        """Each file by its hash; of a model that is not here, whether anything is there."""
        if not self._files_here():
            with translated(f"S3, bucket {self.bucket}"):
                found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.path}/")
            return Standing(done=bool(found.get("KeyCount")), says=f"{self.path}, as found there")
        lacking = [key for key, file in self._keys() if not self._same(key, file)]
        return Standing(done=not lacking, says=self.path if not lacking else "")

    def apply(self) -> None:
        """Upload what is not there."""
        if not self._files_here():
            raise NotReady(
                f"{self.path} is neither here nor in s3://{self.bucket}. Put it there, in "
                f"Diffusers' layout: aws s3 sync FOLDER s3://{self.bucket}/{self.path}"
            )
        for key, file in self._keys():
            if self._same(key, file):
                continue
            # In parts: S3 takes no more than 5 GiB at once, and there are larger weights. As a
            # stream: of a file's name boto3 makes errors of its own.
            with translated(f"S3 PutObject {key}"), file.open("rb") as body:
                more = {"Metadata": {_SHA: _digest(file)}}
                self.s3.upload_fileobj(body, self.bucket, key, ExtraArgs=more)

    def undo(self) -> None:
        """Nothing: the bucket is Terraform's, and stays if it may not be deleted."""

    def _files_here(self) -> bool:
        return (self.root / self.path).is_dir()

    def _keys(self) -> Iterator[tuple[str, Path]]:
        for file in sorted((self.root / self.path).rglob("*")):
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
    return hashlib.sha256(file.read_bytes()).hexdigest()
