"""Between a job and the engine: the pipeline call that it asks for, the pictures that come out.

Imports torch: only a replica does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from PIL import Image

from jobs import job as jobs_job
from jobs.inputs import FromImage, GenerationInput, ImageToImage, Inpaint, Task
from jobs.job import Job
from jobs.stream import Progress
from serve_app.engine.memory import is_out_of_memory
from serve_app.engine.order import Made, Order, Priority, Step
from serve_app.engine.work import has_guidance, rows_of, steps_of
from serve_app.errors import InvalidInput, JobFault, NotFinite, OutOfMemory
from serve_app.media import Sources
from serve_app.pipelines import LoadedModel

#: A bridge writes progress once a second; a line per step of a small model would cost more
#: than the step.
PROGRESS_INTERVAL_S = 0.1
#: An error's text is for a person; a library may put a page into it.
MAX_MESSAGE_CHARS = 500

PRIORITIES = {
    jobs_job.Priority.INTERACTIVE: Priority.INTERACTIVE,
    jobs_job.Priority.BATCH: Priority.BATCH,
}

Report = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Painted:
    """The pictures of a job, and how many seconds each stage took."""

    images: tuple[Image.Image, ...]
    warnings: tuple[str, ...]
    timings: dict[str, float]


def order_of(
    job: Job, model: LoadedModel, given: Sources, report: Report, *, alone: bool = False
) -> Order:
    """The order that paints `job`; `InvalidInput` if it cannot be painted at all."""
    wanted = job.input
    return Order(
        pipeline=model.pipeline(Task(wanted.task), scheduler=wanted.scheduler),
        arguments=_arguments(job, given),
        steps=steps_of(wanted),
        rows=rows_of(wanted),
        priority=PRIORITIES[job.priority],
        deadline=_monotonic(job.deadline),
        deterministic=job.deterministic,
        alone=alone,
        listener=_Reporter(report),
    )


def painted(job: Job, model: LoadedModel, made: Made, *, alone: bool = False) -> Painted:
    """The pictures that came out; `NotFinite` if they are none."""
    pixels = made.output.images
    if not np.isfinite(pixels).all():
        raise NotFinite("the model computed values that are not numbers")
    levels = (pixels * 255).round().astype(np.uint8)
    wanted = job.input
    negative = wanted.negative_prompt if has_guidance(wanted) else None
    warnings = model.warnings(wanted.prompt, negative or "")
    if made.was_exclusive and not alone:
        warnings += ("the engine cannot share this call's steps with others: it ran alone",)
    images = tuple(Image.fromarray(picture) for picture in levels)
    return Painted(images=images, warnings=warnings, timings=made.timings)


def _arguments(job: Job, given: Sources) -> dict[str, Any]:
    """The call of the pipeline, in its own names."""
    wanted = job.input
    count = wanted.num_images_per_prompt
    arguments: dict[str, Any] = {
        "prompt": wanted.prompt,
        "negative_prompt": wanted.negative_prompt,
        "num_inference_steps": wanted.num_inference_steps,
        "guidance_scale": wanted.guidance_scale,
        "num_images_per_prompt": count,
        # On the CPU, so that a seed means the same picture on every device.
        "generator": [torch.Generator("cpu").manual_seed(job.seed + k) for k in range(count)],
        "output_type": "np",
    }
    if not isinstance(wanted, FromImage):
        return arguments | {"width": wanted.width, "height": wanted.height}
    assert given.image is not None  # media.sources gave one
    _check_strength(wanted)
    arguments |= {"image": given.image, "strength": wanted.strength}
    if isinstance(wanted, Inpaint):
        width, height = given.image.size
        arguments |= {"mask_image": given.mask, "width": width, "height": height}
    return arguments


def _check_strength(wanted: GenerationInput) -> None:
    if isinstance(wanted, ImageToImage | Inpaint) and steps_of(wanted) < 1:
        raise InvalidInput("/input/strength: leaves no step; raise it or num_inference_steps")


def _monotonic(deadline: datetime | None) -> float | None:
    """The deadline on the engine's clock."""
    if deadline is None:
        return None
    return time.monotonic() + (deadline - datetime.now(UTC)).total_seconds()


class _Reporter:
    """Turns what the engine tells of a call into progress, not too often."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reported = 0.0

    def __call__(self, stage: str, step: Step | None) -> None:
        if step is None:
            if stage != "denoise":  # its first step says more
                self._report(Progress(stage=stage))
            return
        now = time.monotonic()
        if step.step in (1, step.total) or now - self._reported >= PROGRESS_INTERVAL_S:
            self._reported = now
            self._report(Progress(stage=stage, step=step.step, total=step.total))


def fault_of(error: Exception, job: Job) -> JobFault:
    """What a client is told of `error`: its type and text, but never the prompt."""
    if isinstance(error, JobFault) and not isinstance(error, OutOfMemory):
        return error
    text = f"{type(error).__name__}: {error}"
    for secret in (job.input.prompt, job.input.negative_prompt):
        if secret:
            text = text.replace(secret, "…")
    text = text[:MAX_MESSAGE_CHARS]
    return OutOfMemory(text) if is_out_of_memory(error) else JobFault(text)
