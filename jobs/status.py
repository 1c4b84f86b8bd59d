"""The lifecycle of a job: its states, their named sets, and the legal edges between them."""

from enum import StrEnum

from jobs.errors import IllegalTransition


class Status(StrEnum):
    """Where a job is. `starting` waits for a replica, `processing` has one."""

    QUEUED = "queued"
    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class ErrorCode(StrEnum):
    """Why a job did not succeed. These are codes of an outcome, never states."""

    INVALID_INPUT = "invalid_input"
    UNSUPPORTED = "unsupported"
    CONTENT_FILTERED = "content_filtered"
    OUT_OF_MEMORY = "out_of_memory"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    DEAD_LETTERED = "dead_lettered"
    INTERNAL = "internal"


#: A bridge owns the job.
LEASED = frozenset({Status.STARTING, Status.PROCESSING})
#: The job still has something to come.
ACTIVE = LEASED | {Status.QUEUED}
#: Written once, never left.
TERMINAL = frozenset(Status) - ACTIVE

#: The only legal edges. `queued -> failed` is a job refused or dead-lettered before it ran.
#: `starting | processing -> starting` is the takeover of a lease that ran out: the owner is
#: gone, so nobody is left to release it first. `starting -> succeeded` is one whose work an
#: owner before had uploaded, whole, without living to record it.
EDGES: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.STARTING, Status.FAILED, Status.CANCELED, Status.EXPIRED}),
    Status.STARTING: frozenset(
        {
            Status.STARTING,
            Status.PROCESSING,
            Status.QUEUED,
            Status.SUCCEEDED,
            Status.FAILED,
            Status.CANCELED,
            Status.EXPIRED,
        }
    ),
    Status.PROCESSING: frozenset(
        {
            Status.STARTING,
            Status.QUEUED,
            Status.SUCCEEDED,
            Status.FAILED,
            Status.CANCELED,
            Status.EXPIRED,
        }
    ),
    **{status: frozenset() for status in TERMINAL},
}


def sources(target: Status) -> frozenset[Status]:
    """The states from which `target` may be entered."""
    return frozenset(source for source, targets in EDGES.items() if target in targets)


def check_edge(source: Status, target: Status) -> None:
    """Raise `IllegalTransition` unless the lifecycle has the edge `source -> target`."""
    if target not in EDGES[source]:
        raise IllegalTransition(f"a {source} job cannot become {target}")
