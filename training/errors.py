"""What can be wrong with a training run before it begins, or keep it from its end."""


class TrainingError(Exception):
    """The message says what to do."""


class FolderTakenError(TrainingError):
    """The folder's checkpoints belong to a run of another seed or another start."""


class NoModelError(TrainingError):
    """There are no weights to go on from."""


class NothingShownError(TrainingError):
    """The denoiser draws nothing that comes near to what was asked."""
