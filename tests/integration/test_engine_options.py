"""Each option of a model leaves its pictures what they are."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_calls import TOLERANCE, PlainCall, made_together, words, worst_difference
from tiny_models import pipeline

from jobs.catalogue import Defaults, Limits, Model, Options
from jobs.inputs import Task
from serve_app import options
from serve_app.engine.compiled import bucket
from serve_app.engine.engine import Engine
from serve_app.engine.order import Order
from serve_app.pipelines import LoadedModel
from serve_app.settings import ServeSettings

#: Seconds for the compiler on one busy core.
COMPILES_S = 240
#: dB; two runs in half precision that sum up in another order have that much in common.
SAME_IN_HALF_PRECISION = 40.0


def own_pipeline(family: str) -> Any:
    """A pipeline with modules of its own: an option changes them in place."""
    own = copy.copy(pipeline(family))
    for name in ("unet", "transformer", "vae"):
        if getattr(own, name, None) is not None:
            vars(own)[name] = copy.deepcopy(getattr(own, name))
    return own


def calls(changed: Any, family: str = "sd", **more: Any) -> list[PlainCall]:
    """Four ragged calls."""
    return [
        PlainCall(
            pipeline=changed,
            arguments={
                **words(family, index),
                "width": 64,
                "height": 64,
                "num_inference_steps": 4 + 2 * index,
                **more,
            },
            seed=index,
        )
        for index in range(4)
    ]


def psnr(truth: np.ndarray, found: np.ndarray) -> float:
    """Peak signal-to-noise ratio, dB."""
    error = ((truth.astype(float) - found) ** 2).mean()
    return float(10 * np.log10((truth.max() - truth.min()) ** 2 / max(error, 1e-20)))


@pytest.mark.parametrize("family", ["sd", "sdxl"])
@pytest.mark.parametrize("option", ["channels_last", "fused_attention"])
def test_an_option_changes_no_picture(engine: Engine, option: str, family: str) -> None:
    """Against the plain call of the unchanged pipeline."""
    changed = own_pipeline(family)
    options.apply(Options(**{option: True}), changed)
    truths = [call.alone() for call in calls(pipeline(family), family)]

    for made, truth in zip(made_together(engine, calls(changed, family)), truths, strict=True):
        difference = np.abs(made.output.images.numpy() - truth).max() / np.abs(truth).max()
        assert difference <= TOLERANCE


def test_a_compiled_denoiser_takes_over_once_it_is_warm(engine: Engine) -> None:
    """The plain one serves before; the pictures are the same, at every number of rows."""
    changed = own_pipeline("sd")
    engine.compile(changed.unet)
    assert worst_difference(engine, calls(changed)) <= TOLERANCE
    compiled = engine._tick.compiled
    compiled._pool.submit(lambda: None).result(COMPILES_S)  # one thread: after the warm-up
    assert compiled._warm

    assert worst_difference(engine, calls(changed)) <= TOLERANCE


def test_rows_are_padded_to_the_next_number_that_was_compiled_for() -> None:
    """Every other number would compile again."""
    assert [bucket(rows) for rows in (1, 2, 3, 9, 64, 70)] == [1, 2, 4, 16, 64, 70]


def test_an_autoencoder_of_another_dtype_decodes_the_same_latents(engine: Engine) -> None:
    """In bfloat16, against the plain call decoded by the same autoencoder."""
    changed = own_pipeline("sd")
    options.apply(Options(vae_dtype="bfloat16"), changed)
    truths = []
    for call in calls(pipeline("sd")):
        latents = torch.from_numpy(call.alone()) / changed.vae.config.scaling_factor
        with torch.no_grad():
            pixels = changed.vae.decode(latents.bfloat16()).sample
        truths.append(changed.image_processor.postprocess(pixels.float(), output_type="np"))

    for made, truth in zip(
        made_together(engine, calls(changed, output_type="np")), truths, strict=True
    ):
        assert psnr(truth, made.output.images) >= SAME_IN_HALF_PRECISION


def test_a_loaded_model_keeps_its_options(tmp_path: Path) -> None:
    """For every task; making a task's pipeline gives all of its modules one dtype."""
    pipeline("sd").save_pretrained(tmp_path / "tiny", safe_serialization=True)
    spec = Model(
        path="tiny",
        defaults=Defaults(width=64, height=64, num_inference_steps=3, guidance_scale=5.0),
        limits=Limits(max_side=64, max_pixels=4096),
        options=Options(vae_dtype="bfloat16", channels_last=True),
    )
    loaded = LoadedModel.load(spec, ServeSettings(models_root=tmp_path))

    for task in Task:
        parts = loaded.pipeline(task)
        assert (parts.vae.dtype, parts.unet.dtype) == (torch.bfloat16, torch.float32)
        assert parts.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_call_that_runs_alone_copes_with_the_autoencoders_dtype(engine: Engine) -> None:
    """The plain pipeline would hand float32 latents to it."""
    changed = own_pipeline("sd")
    options.apply(Options(vae_dtype="bfloat16"), changed)
    arguments = calls(changed, output_type="np")[0].given()
    order = Order(pipeline=changed, arguments=arguments, steps=4, alone=True)

    assert np.isfinite(engine.submit(order).future.result(60).output.images).all()


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux"])
def test_half_precision_is_shared_as_well(engine: Engine, family: str) -> None:
    """bfloat16 in company against bfloat16 alone."""
    half = copy.copy(pipeline(family))
    for name in ("unet", "transformer", "vae", "text_encoder", "text_encoder_2"):
        if getattr(half, name, None) is not None:
            vars(half)[name] = copy.deepcopy(getattr(half, name)).bfloat16()
    told = calls(half, family)
    for call in told:
        call.arguments |= {
            name: value.bfloat16()
            for name, value in call.arguments.items()
            if isinstance(value, torch.Tensor)
        }
        call.arguments["output_type"] = "np"
    truths = [call.alone() for call in told]

    for made, truth in zip(made_together(engine, told), truths, strict=True):
        assert psnr(truth, made.output.images) >= SAME_IN_HALF_PRECISION
