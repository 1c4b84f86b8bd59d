"""The engine gives what the plain pipeline call gives, whoever shares its forwards."""

import numpy as np
import pytest
from plain_calls import (
    SCHEDULERS,
    TOLERANCE,
    PlainCall,
    made_together,
    mask,
    other_task,
    picture,
    with_scheduler,
    words,
    worst_difference,
)
from tiny_models import FAMILIES, pipeline

from serve_app.engine.engine import Engine


def ragged(family: str, scheduler: str | None = None, **more: object) -> list[PlainCall]:
    """Four calls that differ in steps and guidance, one without guidance, one of two pictures."""
    base, added = (pipeline(family), {}) if scheduler is None else with_scheduler(family, scheduler)
    calls = []
    for index, (steps, guidance) in enumerate([(4, 5.0), (7, 1.0), (9, 7.5), (6, 3.0)]):
        count = 2 if index == 3 else 1
        arguments = {
            **words(family, index),
            **added,
            **more,
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "num_images_per_prompt": count,
        }
        if "image" not in more:
            arguments |= {"width": 64, "height": 64}
        calls.append(PlainCall(pipeline=base, arguments=arguments, seed=10 * index, count=count))
    return calls


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_is_exact_in_company(engine: Engine, scheduler: str) -> None:
    """Ragged steps, mixed guidance, random arrival."""
    calls = ragged("sd", scheduler)

    assert worst_difference(engine, calls) <= TOLERANCE


def test_schedulers_of_all_classes_share_their_forwards(engine: Engine) -> None:
    """One call of each, all at once: the scheduler is no part of what must be equal."""
    names = [name for name in SCHEDULERS if name not in ("lcm", "tcd")]
    calls = [ragged("sd", name)[index % 4] for index, name in enumerate(names)]

    assert worst_difference(engine, calls) <= TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_exact_in_company(engine: Engine, family: str) -> None:
    """Text to image, two seeds of arrival."""
    for seed in (1, 2):
        assert worst_difference(engine, ragged(family), seed=seed) <= TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_image_to_image_mixes_with_text_to_image(engine: Engine, family: str) -> None:
    """Different strengths; the autoencoder's random numbers come before the noise."""
    edit = other_task(pipeline(family), "Img2Img")
    calls = ragged(family)
    for index, strength in enumerate((0.6, 0.9, 0.3)):
        arguments = {
            **words(family, index),
            "image": picture(index),
            "strength": strength,
            "num_inference_steps": 10,
        }
        calls.append(PlainCall(pipeline=edit, arguments=arguments, seed=index))

    assert worst_difference(engine, calls) <= TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_inpainting_is_exact_in_company(engine: Engine, family: str) -> None:
    """Four channels: what is outside the mask is noised again after each step."""
    edit = other_task(pipeline(family), "Inpaint")
    calls = ragged(family)[:2]
    for index, strength in enumerate((1.0, 0.6)):
        arguments = {
            **words(family, index),
            "image": picture(index),
            "mask_image": mask(),
            "strength": strength,
            "num_inference_steps": 8,
            "width": 64,
            "height": 64,
        }
        calls.append(PlainCall(pipeline=edit, arguments=arguments, seed=index))

    assert worst_difference(engine, calls) <= TOLERANCE


def test_inpainting_with_nine_channels_is_exact_in_company(engine: Engine) -> None:
    """Mask and masked picture go into the denoiser beside the latents."""
    edit = other_task(pipeline("sd-inpaint"), "Inpaint")
    calls = [
        PlainCall(
            pipeline=edit,
            arguments={
                **words("sd", index),
                "image": picture(index),
                "mask_image": mask(),
                "num_inference_steps": 5 + 2 * index,
                "width": 64,
                "height": 64,
            },
            seed=index,
        )
        for index in range(3)
    ]

    assert worst_difference(engine, calls) <= TOLERANCE


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_controlnets_of_different_scales_share_their_forwards(engine: Engine, family: str) -> None:
    """One acts in the first half only; company without a ControlNet runs beside."""
    controlled = other_task(pipeline(family), "ControlNet")
    calls = ragged(family)[:2]
    for index, scale in enumerate((0.4, 1.0, 0.8)):
        arguments = {
            **words(family, index),
            "image": picture(index),
            "num_inference_steps": 6 + index,
            "guidance_scale": 1.0 if index == 2 else 5.0,
            "controlnet_conditioning_scale": scale,
            "control_guidance_end": 0.5 if index == 1 else 1.0,
        }
        calls.append(PlainCall(pipeline=controlled, arguments=arguments, seed=index))

    assert worst_difference(engine, calls) <= TOLERANCE


@pytest.mark.parametrize("task", ["ControlNetImg2Img", "ControlNetInpaint"])
@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_controlnets_edit_pictures_in_company(engine: Engine, family: str, task: str) -> None:
    """Image-to-image and inpainting under a ControlNet, at two strengths."""
    controlled = other_task(pipeline(family), task)
    calls = ragged(family)[:1]
    for index, strength in enumerate((0.9, 0.6)):
        arguments = {
            **words(family, index),
            "image": picture(index),
            "control_image": picture(index + 5),
            "strength": strength,
            "num_inference_steps": 8,
            "controlnet_conditioning_scale": 0.5 + index / 4,
        }
        if task == "ControlNetInpaint":
            arguments |= {"mask_image": mask(), "width": 64, "height": 64}
        calls.append(PlainCall(pipeline=controlled, arguments=arguments, seed=index))

    assert worst_difference(engine, calls) <= TOLERANCE


def test_pictures_are_equal_after_rounding(engine: Engine) -> None:
    """Of the decoded pixels 99.9 % differ by at most one of 255 levels."""
    calls = ragged("sd")
    for call in calls:
        call.arguments["output_type"] = "np"
    truths = [call.alone() for call in calls]

    for made, truth in zip(made_together(engine, calls), truths, strict=True):
        levels = abs(np.round(made.output.images * 255) - np.round(truth * 255))
        assert (levels <= 1).mean() >= 0.999
