"""What it looks like when the device is full."""

import torch

from serve_app.errors import OutOfMemory


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device or the machine had no room; CPU allocations raise a RuntimeError."""
    is_plain = isinstance(error, torch.OutOfMemoryError | MemoryError | OutOfMemory)
    return is_plain or "can't allocate memory" in str(error)


def release() -> None:
    """Give back what PyTorch keeps for later, or the next try meets the same fragments."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
