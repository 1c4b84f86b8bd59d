"""A bucket of objects: the interface."""

from typing import Protocol


class ObjectStore(Protocol):
    """An S3 bucket, as far as we use one."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        """Write an object; the same key is overwritten."""

    def get(self, key: str) -> bytes:
        """The object's bytes, or `ObjectMissing`."""

    def delete(self, key: str) -> None:
        """Remove the object; it need not exist."""

    def presign(self, key: str, *, expires_s: int) -> str:
        """A URL that reads the object without credentials until it expires."""
