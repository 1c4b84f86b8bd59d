"""From error to verdict: the one table, and how a release waits."""

import pytest

from bridge.errors import (
    BadPicture,
    BridgeError,
    ClusterUnavailable,
    EgressFailed,
    EgressRefused,
    JobRefused,
    OutOfMemory,
    Overloaded,
    ServeUnavailable,
)
from bridge.verdict import Leave, Park, Reject, Release, verdict_for
from jobs.errors import (
    Fault,
    IllegalTransition,
    InvalidCatalogue,
    InvalidJob,
    JobsError,
    NewerSchema,
    UnknownModel,
    UnknownRuntime,
)
from jobs.status import ErrorCode
from records.errors import (
    ConditionFailed,
    IdInUse,
    LeaseLost,
    NotDone,
    ObjectChanged,
    ObjectMissing,
    ObjectTooLarge,
    RecordMissing,
    RecordsError,
    Unavailable,
)

TABLE = [
    (LeaseLost(), Leave),
    (NewerSchema(), Release),
    (InvalidJob([Fault(pointer="", detail="x")]), Park),
    (UnknownModel([Fault(pointer="/model", detail="x")]), Park),
    (UnknownRuntime([Fault(pointer="/runtime", detail="x")]), Park),
    (IllegalTransition(), Release),
    (InvalidCatalogue(), Release),
    (JobsError(), Release),
    (Unavailable(), Release),
    (ServeUnavailable(), Release),
    (Overloaded(1), Release),
    (JobRefused(ErrorCode.INVALID_INPUT, "x"), Reject),
    (OutOfMemory(), Release),
    # These become refusals of the job before they get here, and must not lose it if they do.
    (BadPicture(), Release),
    (EgressRefused(), Release),
    (EgressFailed(), Release),
    (ClusterUnavailable(), Release),
    (BridgeError(), Release),
    (ObjectMissing(), Release),
    (ObjectTooLarge(), Release),
    (ObjectChanged(), Release),
    (RecordMissing(), Release),
    (IdInUse(), Release),
    (NotDone(), Release),
    (ConditionFailed(), Release),
    (RecordsError(), Release),
    (ZeroDivisionError(), Release),
]
ROWS = {type(error) for error, _ in TABLE}


@pytest.mark.parametrize(
    ("error", "verdict"), TABLE, ids=[type(error).__name__ for error, _ in TABLE]
)
def test_every_error_has_one_verdict(error, verdict):
    """The only table of its kind."""
    assert isinstance(verdict_for(error), verdict)


def test_every_error_of_ours_is_in_the_table():
    """A new class must say what becomes of its message."""

    def leaves(base: type[Exception]) -> set[type[Exception]]:
        return {base, *(leaf for child in base.__subclasses__() for leaf in leaves(child))}

    ours = leaves(BridgeError) | leaves(RecordsError) | leaves(JobsError)
    assert ours - ROWS == set()


def test_only_memory_asks_for_a_device_alone():
    """Everything else is as well off beside others."""
    assert verdict_for(OutOfMemory("x")).alone  # type: ignore[union-attr]
    assert not verdict_for(ServeUnavailable("x")).alone  # type: ignore[union-attr]


def test_a_release_after_an_error_is_never_immediate():
    """A dependency that is down is not hammered."""
    delays = {verdict_for(Unavailable()).delay_s for _ in range(20)}  # type: ignore[union-attr]
    assert min(delays) >= 1
    assert len(delays) > 1


def test_a_message_that_fails_again_and_again_comes_back_less_and_less_often():
    """An outage of hours must not use up the queue's fifty receives."""
    verdict = verdict_for(Unavailable())
    assert isinstance(verdict, Release)
    delays = [verdict.delay_of(receives) for receives in range(1, 51)]
    assert delays == sorted(delays)
    assert delays[0] <= 10
    assert delays[-1] == 900
    assert sum(delays) > 8 * 3600


def test_a_release_that_is_nobody_s_fault_does_not_back_off():
    """Told to stop, or somebody else has the job."""
    assert Release(delay_s=0, reason="stopping").delay_of(40) == 0


def test_what_aws_said_of_our_resources_is_not_the_reason_of_a_release():
    """A job that is given up quotes it in its record, which its tenant reads."""
    error = Unavailable("S3 PutObject: AccessDenied", "arn:aws:iam::1:role/bridge may not")
    assert "role/bridge" in str(error)
    assert verdict_for(error).reason == "S3 PutObject: AccessDenied"
