"""What can be wrong with a training run before it begins."""


class FolderTakenError(Exception):
    """The folder's checkpoints belong to a run of another seed or another start."""
