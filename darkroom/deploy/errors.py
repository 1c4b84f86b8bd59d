"""What can keep an installation from being made or taken away.

DeployError (a DarkroomError)
├── ProgramMissing   a program that the step needs is not here, or too old
├── ProgramFailed    a program has said that it failed; the message is what it said
│   └── StateLocked  another Terraform has the state, or had it when it was killed
├── WouldDestroy     a plan takes away what only a person gives up
├── Unanswered       an address did not answer, or not as it should
├── NotReady         something was waited for, and did not come
├── Unfit            the account or the region cannot run what was asked for
├── SnapshotFailed   no snapshot was made; what was begun is removed
├── SmokeFailed      the installation is there, and does not do what it should
└── StepFailed       a step has failed: which, why, and how to go on
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from darkroom.errors import DarkroomError


class DeployError(DarkroomError):
    """Base of everything that `darkroom.deploy` raises."""


class ProgramMissing(DeployError):
    """A program that the step needs is not here, or too old; the message says which and where."""


class ProgramFailed(DeployError):
    """A program has said that it failed; the message is what it said."""


class StateLocked(ProgramFailed):
    """Another Terraform has the state, or had it when it was killed; the message says who."""


class WouldDestroy(DeployError):
    """A plan takes away what only a person gives up; the message says what, and how to do so."""


class Unanswered(DeployError):
    """An address did not answer, or not as it should; the message says which and how."""


class NotReady(DeployError):
    """Something was waited for, and did not come; the message says what was seen last."""


class Unfit(DeployError):
    """The account or the region cannot run what was asked for; the message says what to do."""


class SnapshotFailed(DeployError):
    """No snapshot was made; what was begun is removed."""


class SmokeFailed(DeployError):
    """The installation is there, and does not do what it should."""


class StepFailed(DeployError):
    """A step has failed: which, why, and how to go on."""


@contextmanager
def translated_here() -> Iterator[None]:
    """Turn what libraries raise into ours: the only place where that is done for this package.

    botocore's are translated by `records`. Whatever is neither is a defect of ours, and
    shows where it is.
    """
    try:
        yield
    except httpx.HTTPStatusError as error:
        # Without the address's query: of an object that is its permission.
        answer = error.response
        raise Unanswered(f"{answer.url.host} answers {answer.status_code}") from error
    except httpx.HTTPError as error:
        raise Unanswered(f"an address does not answer: {error}") from error
    except subprocess.CalledProcessError as error:
        raise ProgramFailed(
            f"{_program(error.cmd)} ended with {error.returncode}; what it said stands above"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(
            f"{_program(error.cmd)} has not ended within {error.timeout:g} s"
        ) from error


def _program(command: str | list[str]) -> str:
    return Path(command if isinstance(command, str) else command[0]).name
