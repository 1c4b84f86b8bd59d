"""What can go wrong with a record, a queue, a bucket or a topic.

RecordsError
├── ConditionFailed     the item is not as the write requires; `item` is what lies there
├── RecordMissing       there is no such job
├── LeaseLost           another owner has the job now, or it has ended: stop working on it
├── IdInUse             the client's id stands for a job with another body
├── NotDone             the job has not ended yet; cancel it first
├── ObjectMissing       there is no such object in the bucket
├── ObjectTooLarge      the object has more bytes than its reader takes
├── ObjectChanged       the object's bytes are not those that were referred to
└── Unavailable         AWS did not answer, or asked for patience: try again later
"""

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from records.attributes import plain

#: How much of AWS's message stands in ours; the cause has it whole.
_SHOWN_CHARS = 400


class RecordsError(Exception):
    """Base of everything that `records` raises."""


class ConditionFailed(RecordsError):
    """The item is not as the write requires; `item` is what lies there, if anything does."""

    def __init__(self, item: Mapping[str, Any] | None = None) -> None:
        self.item = item
        super().__init__("the item is not as the write requires")


class RecordMissing(RecordsError):
    """There is no such job."""


class LeaseLost(RecordsError):
    """Another owner has the job now, or it has ended: stop working on it."""


class IdInUse(RecordsError):
    """This id already stands for a job with another body; choose another id."""


class NotDone(RecordsError):
    """The job has not ended yet; cancel it first."""


class ObjectMissing(RecordsError):
    """There is no such object in the bucket."""


class ObjectTooLarge(RecordsError):
    """The object has more bytes than its reader takes."""


class ObjectChanged(RecordsError):
    """The object's bytes are not those that the message referred to."""


class Unavailable(RecordsError):
    """AWS did not answer, or asked for patience: try again later."""

    def __init__(self, brief: str = "", said: str = "") -> None:
        #: Without AWS's own words, which name roles and resources: what a tenant may read.
        self.brief = brief
        super().__init__(f"{brief}: {textwrap.shorten(said, _SHOWN_CHARS)}" if said else brief)


#: The object is not there.
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
#: The same, for an object that a client names: S3 says no more of what we may not read.
NOT_OURS = MISSING | {"403", "AccessDenied", "KeyTooLongError", "NoSuchBucket"}


@contextmanager
def translated(what: str, *, missing: frozenset[str] = frozenset()) -> Iterator[None]:
    """Turn botocore's exceptions into ours: the only place where that is done.

    Whatever is not a condition or a missing object is `Unavailable`: also a denied access
    or a wrong name, because the job is not to blame for it and must not fail of it. Only who
    reads an object by its key says which codes mean that it is `missing`.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("ConditionalCheckFailedException", "TransactionCanceledException"):
            raise ConditionFailed(_item_left(error)) from error
        if error.operation_name not in what:
            what = f"{what}, {error.operation_name}"
        if code in missing:
            raise ObjectMissing(f"{what}: no such object") from error
        said = error.response.get("Error", {}).get("Message", "") if code else ""
        raise Unavailable(f"{what}: {code or error}", said) from error
    except BotoCoreError as error:
        raise Unavailable(f"{what}: {error}") from error


def _item_left(error: ClientError) -> Mapping[str, Any] | None:
    """The item that ALL_OLD brought along."""
    response: Mapping[str, Any] = error.response
    for place in (response, *response.get("CancellationReasons", [])):
        if "Item" in place:
            return plain(place["Item"])
    return None
