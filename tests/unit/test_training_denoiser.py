"""What the denoiser is shown, and what counts."""

from itertools import islice
from random import Random

import torch

from training.denoiser import EDGE_WEIGHT, SHOWN, LatentPictures, edge_weights
from training.scene import Scene
from training.split import training_scenes


def shown_shares(scenes: list[Scene]) -> list[float]:
    """How often each scene is shown, by the running sum that batches are drawn from."""
    pictures = LatentPictures(
        scenes=scenes,
        latents=torch.empty(0),
        grounds=torch.empty(0),
        tokenizer=None,
        text_encoder=None,
    )
    before = [0.0, *pictures.shown[:-1]]
    return [after - first for first, after in zip(before, pictures.shown, strict=True)]


def test_what_is_learnt_last_is_shown_most() -> None:
    """A scene counts by its hardest part."""
    scenes = list(islice(training_scenes(Random(4)), 200))
    for scene, share in zip(scenes, shown_shares(scenes), strict=True):
        parts = {item.shape for item in scene.items} | {scene.relation}
        hardest = max([SHOWN[part] for part in parts if part in SHOWN], default=1.0)
        assert abs(share - hardest) < 1e-6


def test_an_edge_counts_more_the_less_noise_hides_it() -> None:
    """Flat ground counts 1 always; an edge up to EDGE_WEIGHT more."""
    latents = torch.zeros(2, 4, 16, 16)
    latents[:, 1, 4:10, 4:10] = 2.0
    weights = edge_weights(latents, torch.tensor([1.0, 0.25]))
    assert weights.shape == (2, 1, 16, 16)
    assert (weights[:, 0, 0, 0] == 1).all()
    assert (weights[:, 0, 7, 7] == 1).all()  # inside an item it is flat too
    assert weights[0, 0, 4, 4] == 1 + EDGE_WEIGHT
    assert weights[1, 0, 4, 4] == 1 + EDGE_WEIGHT / 4
