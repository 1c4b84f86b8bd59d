"""What becomes of a message: the one answer that processing it has.

`verdict_for` is the only table from errors to verdicts.
"""

import random
from dataclasses import dataclass

from bridge.errors import BridgeError, ServeUnavailable
from jobs.errors import InvalidJob, JobsError, NewerSchema
from records.errors import LeaseLost, RecordsError, Unavailable


@dataclass(frozen=True)
class Done:
    """The job has ended, is recorded and announced: delete the message."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """Not now, or not here: make the message visible again after `delay_s`."""

    delay_s: float
    reason: str


@dataclass(frozen=True)
class Park:
    """Nobody can read this message: move it to where a person looks at it."""

    reason: str


@dataclass(frozen=True)
class Leave:
    """Somebody else has the job by now, with a delivery of their own: touch nothing."""


Verdict = Done | Release | Park | Leave

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
            return Release(delay_s=_between(_ROLLOUT_S), reason="newer schema")
        case InvalidJob():
            return Park(reason=str(error))
        case ServeUnavailable() | Unavailable():
            return Release(delay_s=_between(_PATIENCE_S), reason=str(error))
        case BridgeError() | RecordsError() | JobsError():
            return Release(delay_s=_between(_PATIENCE_S), reason=str(error))
        case _:
            # A bug of ours. The queue's receive limit keeps it from going on for ever.
            return Release(delay_s=_between(_ROLLOUT_S), reason=type(error).__name__)


def _between(bounds: tuple[float, float]) -> float:
    return random.uniform(*bounds)  # noqa: S311  # jitter, no secret
