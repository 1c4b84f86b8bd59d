"""A bucket of objects, and a reader of others' buckets: the interfaces."""

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


class ObjectReader(Protocol):
    """S3, as far as we read what a client names."""

    def read(self, bucket: str, key: str, *, most_bytes: int) -> bytes:
        """The object's bytes, `ObjectMissing` or `ObjectTooLarge`.

        What we may not read is missing: nobody shall learn by us what there is.
        """
