"""What the Serve app paints, on a real Ray: each task, pixel by pixel, alone and in company."""

import asyncio
import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image
from serve_stack import TIMEOUT_S, make_job

from jobs.inputs import OutputFormat
from jobs.stream import EVENT
from jobs.stream import Image as ImageEvent

GRADIENT = Image.merge(
    "RGB", [Image.linear_gradient("L").resize((64, 64)).rotate(r) for r in (0, 90, 180)]
)


def gradient_base64():
    """`GRADIENT` as base64 of a PNG."""
    buffer = io.BytesIO()
    GRADIENT.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def half_mask():
    """The left half white."""
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    return mask


def mask_base64():
    """`half_mask` as base64 of a PNG."""
    buffer = io.BytesIO()
    half_mask().save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


TASKS = {
    "text-to-image": {},
    "image-to-image": {"image": gradient_base64(), "strength": 0.7},
    "inpaint": {"image": gradient_base64(), "mask_image": mask_base64(), "strength": 1.0},
}


def pictures(events):
    """The decoded images among `events`, in order."""
    found = [event for event in events if isinstance(event, ImageEvent)]
    assert [event.index for event in found] == list(range(len(found)))
    return [Image.open(io.BytesIO(base64.b64decode(event.data))) for event in found]


def pixels(events):
    """The images of `events` as arrays."""
    return [np.asarray(image) for image in pictures(events)]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("output_format", OutputFormat)
def test_every_task_gives_the_images_that_were_asked_for(stack, task, output_format):
    """As many, as large and in the format that the job says."""
    size = {"width": 72, "height": 64}
    job = make_job(
        task=task, num_images_per_prompt=2, output_format=output_format, **TASKS[task], **size
    )
    events = stack.events(job)
    images = pictures(events)
    assert [image.size for image in images] == [(72, 64)] * 2
    assert {image.get_format_mimetype() for image in images} == {output_format.media_type}
    assert events[-1].images == 2
    assert set(events[-1].timings) == {"queue_s", "encode_s", "denoise_s", "decode_s", "image_s"}
    assert [event.seed for event in events if isinstance(event, ImageEvent)] == [7, 8]


def plain_pipeline(folder, task):
    """The pipeline of `task` as anybody would load it."""
    import diffusers

    name = {
        "text-to-image": "StableDiffusionPipeline",
        "image-to-image": "StableDiffusionImg2ImgPipeline",
        "inpaint": "StableDiffusionInpaintPipeline",
    }[task]
    return getattr(diffusers, name).from_pretrained(folder, safety_checker=None)


@pytest.mark.parametrize("scheduler", [None, "EulerAncestralDiscreteScheduler", "PNDMScheduler"])
@pytest.mark.parametrize("task", TASKS)
def test_images_equal_those_of_the_plain_pipeline(stack, task, scheduler):
    """Our fibers, copies and callbacks change no pixel."""
    import diffusers
    import torch

    torch.set_num_threads(1)  # as in the replica, with which this process shares the cores
    pipe = plain_pipeline(stack.folder / "tiny", task)
    if scheduler is not None:
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    given = {}
    if task != "text-to-image":
        given |= {"image": GRADIENT, "strength": TASKS[task]["strength"]}
    if task == "inpaint":
        given |= {"mask_image": half_mask(), "width": 64, "height": 64}
    expected = pipe(
        "a red circle",
        negative_prompt="a blue square",
        num_inference_steps=6,
        guidance_scale=4.0,
        num_images_per_prompt=2,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in (7, 8)],
        **given,
    ).images
    job = make_job(
        task=task,
        negative_prompt="a blue square",
        num_inference_steps=6,
        guidance_scale=4.0,
        num_images_per_prompt=2,
        scheduler=scheduler,
        **TASKS[task],
    )
    for ours, theirs in zip(pixels(stack.events(job)), expected, strict=True):
        # 1: the two processes may sum up floats in another order.
        assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


def test_a_job_goes_to_the_model_that_it_names(stack):
    """Another family in the same replica: an SDXL, with its two text encoders."""
    import diffusers
    import torch

    torch.set_num_threads(1)
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(stack.folder / "xl")
    expected = pipe(
        "a red circle",
        width=64,
        height=64,
        num_inference_steps=3,
        guidance_scale=5.0,
        generator=[torch.Generator("cpu").manual_seed(7)],
    ).images[0]
    (ours,) = pixels(stack.events(make_job(model="xl")))
    assert np.abs(ours.astype(int) - np.asarray(expected)).max() <= 1


def test_a_seed_is_a_picture(stack):
    """The same seed twice gives identical pixels, another seed different ones."""
    (first,), (second,), (other,) = (
        pixels(stack.events(make_job(seed=seed))) for seed in (11, 11, 12)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_an_image_has_the_same_pixels_alone_and_in_a_batch(stack):
    """Image k of a job has the seed + k, whatever is painted beside it."""
    batch = pixels(stack.events(make_job(seed=20, num_images_per_prompt=3)))
    (alone,) = pixels(stack.events(make_job(seed=22)))
    assert np.abs(batch[2].astype(int) - alone).max() <= 1


def test_many_jobs_at_once_each_get_their_own_picture(stack):
    """Four share each step, eight wait: no picture or scheduler state is mixed up."""
    seeds = range(100, 112)

    async def all_at_once():
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            bodies = [make_job(seed=seed).encode() for seed in seeds]
            url = f"{stack.url}/demo/generate"
            return await asyncio.gather(*(client.post(url, content=body) for body in bodies))

    answers = asyncio.run(all_at_once())
    together = [
        pixels([EVENT.validate_json(line) for line in answer.text.splitlines()])[0]
        for answer in answers
    ]
    for seed, picture in zip(seeds, together, strict=True):
        (alone,) = pixels(stack.events(make_job(seed=seed)))
        # 1: in company floats are summed up in another order.
        assert np.abs(picture.astype(int) - alone).max() <= 1
