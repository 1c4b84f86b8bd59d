"""Where a batch's prompts and outputs lie: a folder, or a bucket."""

import os
from pathlib import Path

from records.aws import S3Store
from records.connect import connect
from records.errors import ObjectMissing
from serve_app.batch import Outputs

_S3 = "s3://"


class Folder:
    """A directory with the objects of a bucket as files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        """Write a file, whole or not at all."""
        path = self._root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(data)
        part.replace(path)

    def get(self, key: str) -> bytes:
        """The file's bytes, or `ObjectMissing`."""
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            raise ObjectMissing(f"{key}: no such file") from None


def outputs_at(place: str) -> tuple[Outputs, str]:
    """The outputs of a place, and the prefix of its keys."""
    if not place.startswith(_S3):
        return Folder(Path(place)), ""
    bucket, _, prefix = place.removeprefix(_S3).partition("/")
    return S3Store(connect("s3"), bucket), prefix.strip("/")


def text_at(place: str) -> str:
    """The text of a file, or of an object."""
    if not place.startswith(_S3):
        return Path(place).read_text("utf-8")
    bucket, _, key = place.removeprefix(_S3).partition("/")
    return S3Store(connect("s3"), bucket).get(key).decode()
