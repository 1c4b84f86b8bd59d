"""A job's pictures, wherever they lie: fetched, made harmless, and put into the job itself."""

import asyncio
import base64
import binascii
import random
from collections.abc import Collection

from bridge.egress import MAX_BYTES, Egress
from bridge.errors import BadPicture, EgressFailed, EgressRefused, JobRefused
from bridge.picture import cleaned
from bridge.threads import in_thread
from jobs.inputs import FromImage
from jobs.job import Job
from jobs.status import ErrorCode
from records.errors import ObjectMissing, ObjectTooLarge
from records.store import ObjectReader

#: The fields that hold pictures, and what a model makes of each.
_MODES = {"image": "RGB", "mask_image": "L"}
#: A server on the internet may stumble; one that does not answer so often is not waited for.
_TRIES = 3
#: Seconds before the second try; twice as many before the third.
_PAUSE_S = 0.5


class Sources:
    """Turns references into pictures. Only this process fetches: it has nothing to steal."""

    def __init__(
        self, egress: Egress, objects: ObjectReader, *, bucket: str, buckets: Collection[str] = ()
    ) -> None:
        self._egress = egress
        self._objects = objects
        #: Our own, in which a tenant may read what it has made itself.
        self._bucket = bucket
        #: Those that everybody may read from.
        self._buckets = frozenset(buckets)
        # One at a time: unpacked, a picture has up to 160 MB.
        self._unpacking = asyncio.Semaphore(1)

    async def inlined(self, job: Job) -> Job:
        """`job` with every picture as base64 of a PNG of ours.

        Raises `JobRefused` for one that cannot be had or is none.
        """
        wanted = job.input
        if not isinstance(wanted, FromImage):
            return job
        pictures = {
            name: await self._picture(f"/input/{name}", getattr(wanted, name), mode, job.tenant)
            for name, mode in _MODES.items()
            if hasattr(wanted, name)
        }
        return job.model_copy(update={"input": wanted.model_copy(update=pictures)})

    async def _picture(self, pointer: str, source: str, mode: str, tenant: str) -> str:
        try:
            data = await self._data(source, tenant)
            async with self._unpacking:
                return await in_thread(cleaned, data, mode)
        except (BadPicture, EgressRefused, EgressFailed) as error:
            raise JobRefused(ErrorCode.INVALID_INPUT, f"{pointer}: {error}") from error

    async def _data(self, source: str, tenant: str) -> bytes:
        scheme, colon, rest = source.partition(":")
        match scheme.lower() if colon else "":
            case "https" | "http":
                return await self._fetched(source)
            case "s3":
                return await in_thread(self._read, rest, tenant)
            case "data":
                head, comma, text = rest.partition(",")
                if not comma or not head.endswith(";base64"):
                    raise BadPicture("a data: URI must be data:image/...;base64,...")
                return _decoded(text)
            case "":
                return _decoded(source)
            case _:
                raise BadPicture("it must be base64, or begin with data:, https:// or s3://")

    async def _fetched(self, url: str) -> bytes:
        for tried in range(1, _TRIES):
            try:
                return await self._egress.fetch(url)
            except EgressFailed:
                await asyncio.sleep(_PAUSE_S * tried * random.uniform(1, 2))  # noqa: S311
        return await self._egress.fetch(url)

    def _read(self, place: str, tenant: str) -> bytes:
        bucket, _, key = place.removeprefix("//").partition("/")
        own = bucket == self._bucket and key.startswith(f"{tenant}/")
        if not (key and (own or bucket in self._buckets)):
            raise BadPicture("its bucket is not one that this installation reads from")
        try:
            return self._objects.read(bucket, key, most_bytes=MAX_BYTES)
        except ObjectMissing as error:
            raise BadPicture("there is no such object, or we may not read it") from error
        except ObjectTooLarge as error:
            raise BadPicture(f"it has more than {MAX_BYTES // 1_000_000} MB") from error


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPicture("it is not base64") from error
    if len(data) > MAX_BYTES:
        raise BadPicture(f"it has more than {MAX_BYTES // 1_000_000} MB")
    return data
