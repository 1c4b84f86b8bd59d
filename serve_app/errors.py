"""What can go wrong in the Serve app.

ServeAppError
├── InvalidSettings     the environment lacks a variable or has a wrong value
├── CannotServe         runtimes.yaml promises what this installation cannot serve
├── BadPrompts          a batch's list of prompts cannot be used
├── Unavailable         nothing can run the job now; send it again later
├── Stopped             the job's client went away in the middle of it
└── JobFault            this job fails; the replica lives on
    ├── InvalidInput    the job's content cannot be used
    ├── Unsupported     understood, but not offered
    ├── OutOfMemory     it did not fit onto the device; another attempt may
    └── NotFinite       the model computed something that is not a picture
"""

from jobs.status import ErrorCode
from jobs.stream import Error


class ServeAppError(Exception):
    """Base of everything that `serve_app` raises."""


class InvalidSettings(ServeAppError):
    """Correct the environment variable that the message names."""


class CannotServe(ServeAppError):
    """Correct runtimes.yaml, or install what the message names."""


class BadPrompts(ServeAppError):
    """A batch's list of prompts cannot be used; the message names the line."""


class Unavailable(ServeAppError):
    """Nothing can run the job; the message says why. Send it again later."""


class Stopped(ServeAppError):
    """The client went away; nobody is left to tell."""


class JobFault(ServeAppError):
    """A job that fails by itself: `event` is what the client is told."""

    code = ErrorCode.INTERNAL
    retryable = False

    @property
    def event(self) -> Error:
        """The last line of the job's stream."""
        return Error(code=self.code, message=str(self), retryable=self.retryable)


class InvalidInput(JobFault):
    """The job's content cannot be used; the message begins with the JSON pointer at fault."""

    code = ErrorCode.INVALID_INPUT


class Unsupported(JobFault):
    """Understood, but not offered here; the message says what is."""

    code = ErrorCode.UNSUPPORTED


class OutOfMemory(JobFault):
    """The job did not fit onto the device beside what was there; another attempt may."""

    code = ErrorCode.OUT_OF_MEMORY
    retryable = True


class NotFinite(JobFault):
    """The model computed values that are not numbers; try other parameters or another dtype."""
