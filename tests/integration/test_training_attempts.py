"""The bundled model draws training prompts, for its decoder to learn from."""

from itertools import islice
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from training import attempts as module
from training.attempts import Sketcher, shown_scenes
from training.denoiser import SHOWN
from training.drawing import as_tensor
from training.fitting import MAX_ERROR
from training.latents import decoded
from training.split import is_for_training
from training.text_encoder import load_tokenizer
from training.trial import load

MODEL = Path(__file__).resolve().parents[2] / "models/demo"
NEVER, AT_ONCE = float("inf"), 0.0


@pytest.fixture
def sketcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sketcher:
    """The bundled model's parts; two chunks of four prompts."""
    monkeypatch.setattr(module, "COUNT", 8)
    monkeypatch.setattr(module, "CHUNK", 4)
    pipe = load(StableDiffusionPipeline, MODEL)
    return Sketcher(
        vae=pipe.vae,
        unet=pipe.unet,
        text_encoder=pipe.text_encoder,
        tokenizer=load_tokenizer(tmp_path / "tokenizer"),
        device="cpu",
    )


def test_what_is_drawn_from_noise_lies_beside_the_drawing_that_it_should_be(
    sketcher: Sketcher, tmp_path: Path
) -> None:
    """The latents are no drawing's own, and decode to nearly the truth."""
    found = sketcher.attempts(seed=9, folder=tmp_path, deadline=NEVER)

    assert found is not None
    assert 4 <= len(found.latents) == len(found.truth) <= 8
    for picture, true in zip(
        decoded(sketcher.vae, found.latents), found.truth.numpy(), strict=True
    ):
        error = np.abs(picture.astype(int) - true).mean()
        assert 0.01 < error <= MAX_ERROR
    own = sketcher.vae.encode(as_tensor(list(found.truth.numpy()))).latent_dist.mode()
    assert all((own - one).abs().mean((1, 2, 3)).min() > 0.1 for one in found.latents)
    latents, wanted = found.batch(Random(1), 3)
    assert latents.shape == (3, 4, 16, 16)
    assert wanted.shape == (3, 3, 64, 64)


def test_drawing_goes_on_after_its_deadline_and_ends_with_the_same(
    sketcher: Sketcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was drawn is not drawn again; another denoiser's is."""
    whole = sketcher.attempts(seed=9, folder=tmp_path / "whole", deadline=NEVER)
    broken = tmp_path / "broken"
    drawn = Sketcher._chunk

    def slow(self: Sketcher, rng: Random, count: int) -> module.Attempts:
        made = drawn(self, rng, count)
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 2.0))
        return made

    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 0.0))
    monkeypatch.setattr(Sketcher, "_chunk", slow)
    assert sketcher.attempts(seed=9, folder=broken, deadline=1.0) is None
    chunks: list[int] = []

    def counted(self: Sketcher, rng: Random, count: int) -> module.Attempts:
        chunks.append(count)
        return drawn(self, rng, count)

    monkeypatch.setattr(Sketcher, "_chunk", counted)
    resumed = sketcher.attempts(seed=9, folder=broken, deadline=NEVER)

    assert whole is not None and resumed is not None
    assert chunks == [4]
    assert torch.equal(resumed.latents, whole.latents)
    assert torch.equal(resumed.truth, whole.truth)
    with torch.no_grad():
        sketcher.unet.conv_out.bias += 0.01
    assert sketcher.attempts(seed=9, folder=broken, deadline=NEVER) is not None
    assert chunks == [4, 4, 4]


def test_only_training_scenes_are_drawn_and_hard_ones_more_often() -> None:
    """Nothing held out is learnt from, stars come three times as often as circles."""
    scenes = list(islice(shown_scenes(Random(3)), 2000))
    alone = [scene.items[0].shape for scene in scenes if len(scene.items) == 1]

    assert all(is_for_training(scene) for scene in scenes)
    assert alone.count("star") / alone.count("circle") == pytest.approx(SHOWN["star"], rel=0.3)
