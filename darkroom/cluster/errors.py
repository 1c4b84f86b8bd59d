"""What can keep manifests from being rendered or checked.

ManifestsError (a DarkroomError)
├── NotRenderable   a template, an image or an output of Terraform is not as it must be
├── NoSnapshot      the snapshot that was asked for cannot be used
└── CannotValidate  what the check needs is not here
"""

from darkroom.errors import DarkroomError


class ManifestsError(DarkroomError):
    """Base of everything that `darkroom.cluster` raises."""


class NotRenderable(ManifestsError):
    """A template, an image or an output of Terraform is not as it must be."""


class NoSnapshot(ManifestsError):
    """The snapshot that was asked for cannot be used; the message says why."""


class CannotValidate(ManifestsError):
    """What the check needs is not here; the message says how to get it."""
