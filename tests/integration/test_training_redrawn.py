"""The bundled model draws training pictures again, for its decoder to learn from."""

from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from diffusers import StableDiffusionPipeline

from training import redrawn as module
from training.denoiser import LatentPictures
from training.drawing import as_tensor, draw
from training.grounding import ground_of
from training.redrawn import MAX_DISTANCE, redrawn
from training.split import training_scenes
from training.text_encoder import load_tokenizer
from training.trial import load

MODEL = Path(__file__).resolve().parents[2] / "models/demo"


def test_what_is_drawn_again_is_near_the_truth_and_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latents that are not the true ones, each with the picture that it should have become."""
    monkeypatch.setattr(module, "COUNT", 8)
    pipe = load(StableDiffusionPipeline, MODEL)
    scenes = list(islice(training_scenes(Random(9)), 20))
    with torch.no_grad():
        clean = pipe.vae.encode(as_tensor([draw(scene) for scene in scenes])).latent_dist.mode()
    pictures = LatentPictures(
        scenes=scenes,
        latents=clean.half(),
        grounds=torch.stack([ground_of(scene) for scene in scenes]),
        tokenizer=load_tokenizer(tmp_path / "tokenizer"),
        text_encoder=pipe.text_encoder,
    )
    found = redrawn(pictures, pipe.unet, folder=tmp_path, device="cpu")
    assert 4 <= len(found.scenes) <= 8
    for scene, latents in zip(found.scenes, found.latents, strict=True):
        distance = float((latents - clean[scenes.index(scene)]).abs().mean())
        assert 0.01 < distance <= MAX_DISTANCE + 0.01  # the truth is kept in half precision
    latents, wanted = found.batch(Random(1), 3)
    assert latents.shape == (3, 4, 16, 16)
    assert wanted.shape == (3, 3, 64, 64)
    again = redrawn(pictures, pipe.unet, folder=tmp_path, device="cpu")
    assert torch.equal(again.latents, found.latents)
