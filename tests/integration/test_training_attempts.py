"""The bundled model draws training prompts, for its decoder to learn from."""

from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from training import attempts as module
from training.attempts import attempts
from training.denoiser import LatentPictures
from training.drawing import as_tensor, draw
from training.fitting import MAX_ERROR
from training.grounding import ground_of
from training.latents import decoded
from training.split import training_scenes
from training.text_encoder import load_tokenizer
from training.trial import load

MODEL = Path(__file__).resolve().parents[2] / "models/demo"


def test_what_is_drawn_from_noise_lies_beside_the_drawing_that_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latents are no drawing's own, and decode to nearly the truth."""
    monkeypatch.setattr(module, "COUNT", 8)
    pipe = load(StableDiffusionPipeline, MODEL)
    scenes = list(islice(training_scenes(Random(9)), 20))
    pictures = LatentPictures(
        scenes=scenes,
        latents=torch.zeros(len(scenes), 4, 16, 16),
        grounds=torch.stack([ground_of(scene) for scene in scenes]),
        tokenizer=load_tokenizer(tmp_path / "tokenizer"),
        text_encoder=pipe.text_encoder,
    )
    found = attempts(pictures, pipe.vae, pipe.unet, folder=tmp_path, device="cpu")
    assert 4 <= len(found.latents) == len(found.truth) <= 8
    for picture, true in zip(decoded(pipe.vae, found.latents), found.truth.numpy(), strict=True):
        error = np.abs(picture.astype(int) - true).mean()
        assert 0.01 < error <= MAX_ERROR
    own = pipe.vae.encode(as_tensor([draw(scene) for scene in scenes])).latent_dist.mode()
    assert all((own - one).abs().mean((1, 2, 3)).min() > 0.1 for one in found.latents)
    latents, wanted = found.batch(Random(1), 3)
    assert latents.shape == (3, 4, 16, 16)
    assert wanted.shape == (3, 3, 64, 64)
    again = attempts(pictures, pipe.vae, pipe.unet, folder=tmp_path, device="cpu")
    assert torch.equal(again.latents, found.latents)
