"""What can keep a command from doing its work.

DarkroomError
├── StackError     the local stack cannot start or has broken down
│   └── PortTaken  something else listens on a port that we need
├── NoStack        no address of an API or of its queues is known
├── NothingParked  there is no parked message of that name
├── NotReplayable  the parked message cannot be made a job again
├── ClusterError   the cluster cannot be reached or refuses
│   ├── NotInCluster  there is no such object in it
│   ├── Conflict      somebody else wrote in between, or owns the field
│   └── TookTooLong   what was waited for has not come
├── ServeSilent    Ray's dashboard does not answer as it should
└── JobFailed      the job has ended otherwise than well
"""


class DarkroomError(Exception):
    """Base of everything that `darkroom` raises; the message is for the person at the terminal."""


class StackError(DarkroomError):
    """The local stack cannot start or has broken down; the message says why."""


class PortTaken(StackError):
    """Something else listens on a port that we need; free it or choose another."""


class NoStack(DarkroomError):
    """No address of an API is known: start `darkroom up` or set DARKROOM_API_URL."""


class NothingParked(DarkroomError):
    """There is no parked message of that name; `darkroom dlq list` shows those there are."""


class NotReplayable(DarkroomError):
    """The parked message cannot be made a job again; the message says why."""


class ClusterError(DarkroomError):
    """The cluster cannot be reached or refuses; the message says what was asked of it."""


class NotInCluster(ClusterError):
    """There is no such object in the cluster."""


class Conflict(ClusterError):
    """Somebody else wrote in between, or owns the field: read again, then decide again."""


class TookTooLong(ClusterError):
    """What was waited for has not come; the message says what there is instead."""


class ServeSilent(DarkroomError):
    """Ray's dashboard does not answer as it should; the message says how."""


class JobFailed(DarkroomError):
    """The job has ended otherwise than well; the message says how."""
