"""What a client may have to deal with.

ClientError
├── Refused        the API answered with a problem; `problem` has its code and faults
├── Unreachable    no answer: is the address right, is the API up?
└── TimedOut       the job has not ended within the time given; it goes on
"""

from jobs.view import Problem


class ClientError(Exception):
    """Base of everything that `client` raises."""


class Refused(ClientError):
    """The API refused the request; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        faults = (f"{fault.pointer or '/'}: {fault.detail}" for fault in problem.errors)
        super().__init__("\n".join(faults) or problem.detail or problem.title)


class Unreachable(ClientError):
    """The API did not answer; check its address and whether it is up."""


class TimedOut(ClientError):
    """The job has not ended within the time given; it goes on and can be watched again."""
