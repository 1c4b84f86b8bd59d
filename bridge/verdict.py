"""What becomes of a message: the one answer that processing it has.

`verdict_for` is the only table from errors to verdicts.
"""

import random
from dataclasses import dataclass, replace

from bridge.errors import BridgeError, JobRefused, OutOfMemory
from jobs.errors import InvalidJob, JobsError, NewerSchema
from jobs.status import ErrorCode
from records.errors import LeaseLost, RecordsError, Unavailable


@dataclass(frozen=True)
class Done:
    """The job has ended, is recorded and announced: delete the message."""


@dataclass(frozen=True, kw_only=True)
class Reject:
    """The job has failed with `code`, is recorded and announced: delete the message."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """Not now, or not here: make the message visible again after `delay_s`.

    `backs_off`: the delay doubles with each receipt, so that an outage of hours does not use
    up the queue's receive limit. `alone`: the next attempt is to have the device to itself.
    """

    delay_s: float
    reason: str
    backs_off: bool = False
    alone: bool = False

    def delay_of(self, receive_count: int) -> float:
        """Seconds until a message that was received so often is visible again."""
        if not self.backs_off:
            return self.delay_s
        return min(self.delay_s * 2.0 ** min(receive_count - 1, 10), _MOST_PATIENCE_S)


@dataclass(frozen=True)
class Park:
    """Nobody can read this message: move it to where a person looks at it."""

    reason: str


@dataclass(frozen=True)
class Leave:
    """Somebody else has the job by now, with a delivery of their own: touch nothing."""


#: Seconds between two tries of the same message, however often it failed. With this the
#: fiftieth receipt, after which SQS takes a message away, is twelve hours off.
_MOST_PATIENCE_S = 900.0
Verdict = Done | Reject | Release | Park | Leave

#: Seconds: a dependency that is down is not asked again at once, nor by all at once.
_PATIENCE_S = (2.0, 10.0)
#: Seconds: a rollout takes minutes.
_ROLLOUT_S = (30.0, 60.0)


def verdict_for(error: Exception) -> Verdict:
    """The verdict on a message whose processing raised `error`."""
    match error:
        case LeaseLost():
            return Leave()
        case NewerSchema():
            return _later(_ROLLOUT_S, "newer schema")
        case InvalidJob():
            # How many faults, not which: they quote what the client sent.
            return Park(reason=f"{type(error).__name__}, faults: {len(error.faults)}")
        case JobRefused():
            return Reject(code=error.code, message=str(error))
        case OutOfMemory():
            return replace(_later(_PATIENCE_S, str(error)), alone=True)
        case Unavailable():
            # The reason may come to stand in the job's record.
            return _later(_PATIENCE_S, error.brief)
        case BridgeError() | RecordsError() | JobsError():
            return _later(_PATIENCE_S, str(error))
        case _:
            # A bug of ours. The queue's receive limit keeps it from going on for ever.
            return _later(_ROLLOUT_S, type(error).__name__)


def _later(bounds: tuple[float, float], reason: str) -> Release:
    delay_s = random.uniform(*bounds)  # noqa: S311  # jitter, no secret
    return Release(delay_s=delay_s, reason=reason, backs_off=True)
