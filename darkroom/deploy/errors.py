"""What can keep an installation from being made or taken away.

DeployError (a DarkroomError)
├── ProgramMissing   a program that the step needs is not here, or too old
├── ProgramFailed    a program has said that it failed; the message is what it said
│   └── StateLocked  another Terraform has the state, or had it when it was killed
├── NotReady         something was waited for, and did not come
├── Unfit            the account or the region cannot run what was asked for
├── SnapshotFailed   no snapshot was made; what was begun is removed
├── SmokeFailed      the installation is there, and does not do what it should
└── StepFailed       a step has failed: which, why, and how to go on
"""

from darkroom.errors import DarkroomError


class DeployError(DarkroomError):
    """Base of everything that `darkroom.deploy` raises."""


class ProgramMissing(DeployError):
    """A program that the step needs is not here, or too old; the message says which and where."""


class ProgramFailed(DeployError):
    """A program has said that it failed; the message is what it said."""


class StateLocked(ProgramFailed):
    """Another Terraform has the state, or had it when it was killed; the message says who."""


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
