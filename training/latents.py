"""The training pictures as latents: encoded once, since the denoiser never needs the pixels."""

from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from tqdm import trange  # type: ignore[import-untyped]

from training import checkpoint
from training.drawing import as_tensor, draw
from training.scene import Scene
from training.split import training_scenes

#: Enough for about twenty rounds; encoding them takes three minutes of one core.
COUNT = 60_000
CHUNK = 100


def latent_scenes(count: int, *, seed: int) -> list[Scene]:
    """The scenes behind `cached_latents`, in the same order."""
    return list(islice(training_scenes(Random(f"latents {seed}")), count))


def cached_latents(
    autoencoder: AutoencoderKL, scenes: list[Scene], *, folder: Path, device: str
) -> Tensor:
    """Latents of the scenes' pictures: (n, 4, 16, 16) in half precision, from disk if there."""
    path = folder / "latents.pt"
    state = checkpoint.load(path)
    # Latents of another autoencoder would be noise to this one's decoder.
    mark = checkpoint.fingerprint(autoencoder)
    if state is not None and len(state["latents"]) == len(scenes) and state["mark"] == mark:
        return torch.as_tensor(state["latents"])
    chunks = []
    for start in trange(0, len(scenes), CHUNK, desc="latents"):
        pictures = as_tensor([draw(scene) for scene in scenes[start : start + CHUNK]]).to(device)
        with torch.no_grad():
            encoded = autoencoder.encode(pictures).latent_dist.mode()
        chunks.append(encoded.half().cpu())
    latents = torch.cat(chunks)
    checkpoint.save(path, {"latents": latents, "mark": mark})
    return latents


def decoded(autoencoder: AutoencoderKL, latents: Tensor) -> list[NDArray[np.uint8]]:
    """Pictures of latents: n of (64, 64, 3), 0-255."""
    with torch.no_grad():
        values = autoencoder.decode(latents).sample.clamp(-1, 1)
    pixels = ((values + 1) * 127.5).round().to(torch.uint8)
    return list(pixels.permute(0, 2, 3, 1).cpu().numpy())


def standardise(autoencoder: AutoencoderKL, scenes: list[Scene], *, device: str) -> None:
    """Give every latent channel mean 0 and deviation 1, so that `scaling_factor` can be 1.

    The change is folded into the two 1x1 convolutions around the latents; one common factor, as
    in the original Stable Diffusion, would leave some channels twice as wide as others.
    """
    pictures = as_tensor([draw(scene) for scene in scenes]).to(device)
    with torch.no_grad():
        latents = autoencoder.encode(pictures).latent_dist.mode()
        mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
        inner, outer = autoencoder.quant_conv, autoencoder.post_quant_conv
        n = len(mean)
        inner.weight[:n] /= std[:, None, None, None]
        inner.bias[:n] = (inner.bias[:n] - mean) / std
        inner.bias[n:] -= 2 * std.log()
        outer.bias += outer.weight[:, :, 0, 0] @ mean
        outer.weight *= std[None, :, None, None]
    autoencoder.register_to_config(scaling_factor=1.0)
