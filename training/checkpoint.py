"""Training state on disk, so that a run can be killed at any time and go on later."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint atomically: a kill leaves the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(path)


def load(path: Path, *, device: str = "cpu") -> dict[str, Any] | None:
    """Return the saved state, or None before the first save."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def fingerprint(*modules: nn.Module) -> str:
    """SHA-256 of all weights: what was made by other weights is made anew."""
    digest = hashlib.sha256()
    for module in modules:
        for name, values in module.state_dict().items():
            digest.update(name.encode())
            digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
