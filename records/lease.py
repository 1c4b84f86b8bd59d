"""Leasing a job: one owner at a time, who keeps the lease by ticking.

Every write of an owner requires its name and the attempt. The name is new for each lease, so
an owner whose lease ran out cannot write any more, whoever has the job now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobs.status import LEASED, Status, sources
from records.errors import ConditionFailed, LeaseLost, RecordMissing
from records.record import Record, job_key
from records.table import Change, Require, Table


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A job in the hands of `owner`: the fencing tokens of every write."""

    uid: str
    owner: str
    attempt: int
    #: The client canceled before the job was leased.
    cancel_requested: bool = False
    #: The attempt before ran out of memory: this one is to have the device to itself.
    alone: bool = False
    #: How often the job's message has come back from the dead letters.
    trips: int = 0

    def fence(self, status: frozenset[Status]) -> list[Require]:
        """What must hold for a write of this owner while the job is in one of `status`."""
        return [
            Require("lease_owner", "=", self.owner),
            Require("attempt", "=", self.attempt),
            Require("status", "in", {each.value for each in status}),
        ]

    def is_of(self, record: Record) -> bool:
        """Whether the job is still ours, as the record says."""
        return (record.lease_owner, record.attempt) == (self.owner, self.attempt)


@dataclass(frozen=True, kw_only=True)
class Busy:
    """Another owner has the job until `until_ms`."""

    until_ms: int


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The job has ended already."""

    record: Record


def lease(
    table: Table, uid: str, *, owner: str, now_ms: int, until_ms: int
) -> Lease | Busy | Ended:
    """Take the job, unless somebody has it or it has ended. `owner` is a name never used before.

    Raises `RecordMissing` if there is no such job.
    """
    change = Change(
        require=[
            Require("status", "in", {each.value for each in sources(Status.STARTING)}),
            Require("lease_until", "<", now_ms),
        ],
        set={
            "status": Status.STARTING.value,
            "lease_owner": owner,
            "lease_until": until_ms,
            "leased_at": now_ms,
        },
        remove=["stage", "step", "total", "stages"],
    )
    try:
        item = table.update(job_key(uid), change)
    except ConditionFailed as failed:
        if failed.item is None:
            raise RecordMissing(f"there is no job {uid}") from None
        item = dict(failed.item)
        if Record.from_item(item).ended:
            return Ended(record=Record.from_item(item))
        # Our own write whose answer was lost looks like somebody's lease: the name tells.
        if item.get("lease_owner") != owner:
            return Busy(until_ms=item["lease_until"])
    return Lease(
        uid=uid,
        owner=owner,
        attempt=item["attempt"],
        cancel_requested=bool(item.get("cancel_requested")),
        alone=bool(item.get("alone")),
        trips=item.get("trips", 0),
    )


def start(table: Table, held: Lease, *, now_ms: int, until_ms: int) -> Lease:
    """Serve has accepted the job: count the attempt. `LeaseLost` if it is not ours any more."""
    change = Change(
        require=held.fence(frozenset({Status.STARTING})),
        set={
            "status": Status.PROCESSING.value,
            "started_at": now_ms,
            "lease_until": until_ms,
        },
        add={"attempt": 1},
    )
    try:
        item = table.update(job_key(held.uid), change)
    except ConditionFailed as failed:
        item = dict(failed.item or {})
        ours = item.get("lease_owner") == held.owner
        if not (ours and item.get("status") == Status.PROCESSING.value):
            raise LeaseLost(f"job {held.uid} has another owner or has ended") from None
    return replace(held, attempt=item["attempt"])


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a running job is; `stages` says when each began."""

    stage: str | None = None
    step: int = 0
    total: int = 0
    stages: Mapping[str, int] | None = None


def tick(table: Table, held: Lease, position: Position, *, until_ms: int) -> bool:
    """Record the position, keep the lease until `until_ms`, return whether to cancel.

    One write for all three. Raises `LeaseLost` if the job is not ours any more.
    """
    change = Change(
        require=held.fence(LEASED),
        set={
            "lease_until": until_ms,
            "step": position.step,
            "total": position.total,
            "stages": dict(position.stages or {}),
            **({"stage": position.stage} if position.stage else {}),
        },
    )
    try:
        return bool(table.update(job_key(held.uid), change).get("cancel_requested"))
    except ConditionFailed:
        raise LeaseLost(f"job {held.uid} has another owner or has ended") from None


def release(table: Table, held: Lease, *, alone: bool = False, trip: bool = False) -> None:
    """Give the job back to the queue. If it is not ours any more there is nothing to give.

    `alone` and `trip` are for the next owner to know: see `Lease`.
    """
    change = Change(
        require=held.fence(LEASED),
        set={
            "status": Status.QUEUED.value,
            "lease_until": 0,
            **({"alone": True} if alone else {}),
        },
        remove=["lease_owner", "stage", "step", "total", "stages"],
        add={"trips": 1} if trip else {},
    )
    try:
        table.update(job_key(held.uid), change)
    except ConditionFailed:
        return
