"""A training run can be killed and resumed, and its parts export as a plain pipeline."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from safetensors.torch import load_file
from torch import Tensor, nn

from training import checkpoint
from training.autoencoder import (
    autoencoder_loss,
    build_autoencoder,
    edge_weights,
    is_hard,
    picture_batch,
)
from training.denoiser import build_unet
from training.drawing import as_tensor, draw
from training.export import export
from training.latents import latent_scenes, standardise
from training.split import training_scenes
from training.stage import Plan, Stage
from training.text_encoder import build_text_encoder, mute_pieces
from training.trial import generate, load
from training.vocabulary import piece_ids

PLAN = Plan(name="tiny", steps=40, learning_rate=0.05, warmup_steps=5)


def tiny_stage(folder: Path, plan: Plan = PLAN) -> tuple[Stage, nn.Linear]:
    """A linear layer that learns to double its input."""
    torch.manual_seed(0)
    layer = nn.Linear(1, 1)
    return Stage(plan, layer, folder=folder, device="cpu"), layer


def doubling(layer: nn.Linear, step: int) -> Tensor:
    """Squared error on inputs that depend on the step alone."""
    inputs = torch.randn(8, 1, generator=torch.Generator().manual_seed(step))
    return ((layer(inputs) - 2 * inputs) ** 2).mean()


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    """Weights, averages, optimizer and step all come back."""
    unbroken, layer = tiny_stage(tmp_path / "unbroken")
    unbroken.train(lambda step: doubling(layer, step))

    first, layer = tiny_stage(tmp_path / "broken")
    for _ in range(15):
        first._advance(lambda step: doubling(layer, step))
    first.save()
    second, layer = tiny_stage(tmp_path / "broken")
    assert second.step == 15
    second.train(lambda step: doubling(layer, step))

    for key, value in unbroken.averaged.items():
        assert torch.allclose(value, second.averaged[key])


def test_training_stops_at_the_deadline_and_is_not_finished(tmp_path: Path) -> None:
    """A run that is cut short says so."""
    stage, layer = tiny_stage(tmp_path)
    stage.train(lambda step: doubling(layer, step), deadline=time.time() - 1)

    assert not stage.is_finished
    assert checkpoint.load(tmp_path / "tiny.pt") is not None


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    """Ramp, plateau, line to zero; raising the steps later keeps the plateau."""
    rates = [PLAN.rate(step) for step in range(PLAN.steps)]

    assert rates[0] < rates[10] == PLAN.learning_rate
    assert 0 < rates[-1] < 0.1 * PLAN.learning_rate
    assert replace(PLAN, steps=80).rate(30) == PLAN.learning_rate


def test_a_half_written_checkpoint_is_never_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill while one is written leaves the one before."""
    path = tmp_path / "state.pt"
    checkpoint.save(path, {"step": 3})

    def killed(state: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, {"step": 4})

    assert checkpoint.load(path) == {"step": 3}
    assert checkpoint.load(tmp_path / "missing.pt") is None


def test_a_resumed_autoencoder_sees_what_an_unbroken_one_does(tmp_path: Path) -> None:
    """Its noise is the step's own, whatever the new process has drawn before."""
    plan = Plan(name="autoencoder", steps=2, learning_rate=1e-3)

    def stage(folder: str) -> tuple[Stage, Callable[[int], Tensor]]:
        torch.manual_seed(0)
        model = build_autoencoder()
        made = Stage(plan, model, folder=tmp_path / folder, device="cpu")
        return made, lambda step: autoencoder_loss(model, seed=5, step=step, device="cpu")

    unbroken, loss = stage("unbroken")
    unbroken.train(loss)
    first, loss = stage("broken")
    first._advance(loss)
    first.save()
    second, loss = stage("broken")
    torch.randn(7)
    second.train(loss)

    assert second.step == 2
    for key, value in unbroken.averaged.items():
        assert torch.equal(value, second.averaged[key])


def test_edges_weigh_more_than_flat_ground() -> None:
    """A plain picture has weight one everywhere; one with an item does not."""
    pictures = picture_batch("test", 4)

    assert pictures.shape == (4, 3, 64, 64)
    assert edge_weights(torch.zeros(1, 3, 64, 64)).max() == 1
    assert edge_weights(pictures).max() > 1


def test_a_batch_of_hard_pictures_has_what_round_trips_lose() -> None:
    """Stars, stripes, and what is inside something else; else it is a batch as any other."""
    scenes = training_scenes(Random("hard"))
    hard = [scene for scene in islice(scenes, 200) if is_hard(scene)]
    wanted = as_tensor([draw(scene) for scene in hard[:4]])

    assert 0 < len(hard) < 200
    assert torch.equal(picture_batch("hard", 4, hard_share=1.0), wanted)
    assert not torch.equal(picture_batch("hard", 4), wanted)
    for scene in hard:
        parts = {item.shape for item in scene.items} | {item.fill for item in scene.items}
        assert {"star", "striped", "inside"} & (parts | {scene.relation})


def test_standardised_latents_decode_as_before() -> None:
    """Mean 0 and deviation 1 per channel, the same pictures out."""
    torch.manual_seed(0)
    vae = build_autoencoder().eval()
    pictures = picture_batch("standard", 16)
    with torch.no_grad():
        before = vae.decode(vae.encode(pictures).latent_dist.mode()).sample
        standardise(vae, latent_scenes(64, seed=0), device="cpu")
        latents = vae.encode(pictures).latent_dist.mode()
        after = vae.decode(latents).sample

    assert torch.allclose(before, after, atol=1e-3)
    assert latents.mean().abs() < 0.3
    assert latents.std() == pytest.approx(1, abs=0.3)


def test_unknown_words_share_one_vector() -> None:
    """After muting, the pieces of unknown words cannot be told apart."""
    text_encoder = build_text_encoder()
    mute_pieces(text_encoder)
    table = text_encoder.get_input_embeddings().weight[piece_ids()]

    assert torch.equal(table, table[:1].expand_as(table))


def test_an_exported_folder_loads_as_three_pipelines(tmp_path: Path) -> None:
    """Plain `from_pretrained`, half precision on disk, no safety checker."""
    parts = build_autoencoder(), build_text_encoder(), build_unet()
    export(*parts, folder=tmp_path / "model")

    # Training goes on with them.
    assert {part.dtype for part in parts} == {torch.float32}
    for path in (tmp_path / "model").rglob("*.safetensors"):
        assert {weight.dtype for weight in load_file(path).values()} == {torch.float16}
    kinds = (
        StableDiffusionPipeline,
        StableDiffusionImg2ImgPipeline,
        StableDiffusionInpaintPipeline,
    )
    for kind in kinds:
        pipe = load(kind, tmp_path / "model")
        assert pipe.safety_checker is None
        assert pipe.unet.dtype == torch.float32
    picture = generate(load(kinds[0], tmp_path / "model"), ["a star"], num_inference_steps=2)[0]
    assert picture.shape == (64, 64, 3)
