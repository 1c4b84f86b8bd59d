"""One job's turn on the device: from its input to pictures, stoppable between two steps.

Imports torch: only a replica does.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from PIL import Image

from jobs.inputs import FromImage, ImageToImage, Inpaint, Task
from jobs.job import Job
from jobs.stream import Progress
from serve_app.errors import InvalidInput, JobFault, NotFinite, OutOfMemory, Stopped
from serve_app.media import Sources
from serve_app.pipelines import LoadedModel

#: A bridge writes progress once a second; a line per step of a small model would cost more
#: than the step.
PROGRESS_INTERVAL_S = 0.1
#: An error's text is for a person; a library may put a page into it.
MAX_MESSAGE_CHARS = 500

Report = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Painted:
    """The pictures of a job, and how many seconds each stage took."""

    images: tuple[Image.Image, ...]
    warnings: tuple[str, ...]
    timings: dict[str, float]


@dataclass
class _Clock:
    """Seconds per stage; the stages follow each other without a gap."""

    timings: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[f"{stage}_s"] = round(now - self._since, 4)
        self._since = now


class Generation:
    """What a worker thread runs for one job. `stop` may be called from any thread."""

    def __init__(self, job: Job, model: LoadedModel, given: Sources) -> None:
        self._job = job
        self._model = model
        self._given = given
        self._stopping = threading.Event()
        self._reported = 0.0
        self._clock = _Clock()

    def stop(self) -> None:
        """Let the pipeline end with the step that it is in."""
        self._stopping.set()

    def run(self, report: Report) -> Painted:
        """Paint; `Stopped` after `stop`, a `JobFault` if the job cannot be done."""
        self._clock.end("queue")
        self._check_stop()
        report(Progress(stage="encode"))
        try:
            images = self._images(report)
        except (Stopped, JobFault):
            raise
        # The pipeline is code of others: whatever it raises ends this job, not the replica.
        except Exception as error:
            raise fault_of(error, self._job) from error
        self._clock.end("decode")
        # Within the turn: a tokenizer keeps state, and the next pipeline uses it.
        warnings = self._model.warnings(self._job.input.prompt)
        return Painted(images=images, warnings=warnings, timings=self._clock.timings)

    def _images(self, report: Report) -> tuple[Image.Image, ...]:
        wanted = self._job.input
        pipeline = self._model.pipeline(Task(wanted.task), scheduler=wanted.scheduler)
        # Diffusers' own bar is entered before the first step and left after the last: the
        # only place where it tells the stages apart.
        pipeline.progress_bar = lambda total: self._stages(report)

        def after_step(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            self._check_stop()
            self._report_step(report, step + 1, pipe.num_timesteps)
            return tensors

        painted = pipeline(
            **self._arguments(), callback_on_step_end=after_step, output_type="np"
        ).images
        if not np.isfinite(painted).all():
            raise NotFinite("the model computed values that are not numbers")
        images: list[Image.Image] = pipeline.numpy_to_pil(painted)
        return tuple(images)

    def _arguments(self) -> dict[str, Any]:
        """The call of the pipeline, in its own names."""
        wanted = self._job.input
        count = wanted.num_images_per_prompt
        given: dict[str, Any] = {
            "prompt": wanted.prompt,
            "negative_prompt": wanted.negative_prompt,
            "num_inference_steps": wanted.num_inference_steps,
            "guidance_scale": wanted.guidance_scale,
            "num_images_per_prompt": count,
            # On the CPU, so that a seed means the same picture on every device.
            "generator": [
                torch.Generator("cpu").manual_seed(self._job.seed + k) for k in range(count)
            ],
        }
        if not isinstance(wanted, FromImage):
            return given | {"width": wanted.width, "height": wanted.height}
        assert self._given.image is not None  # media.sources gave one
        steps = wanted.num_inference_steps or 1
        if isinstance(wanted, ImageToImage | Inpaint) and int(steps * wanted.strength) < 1:
            raise InvalidInput("/input/strength: leaves no step; raise it or num_inference_steps")
        given |= {"image": self._given.image, "strength": wanted.strength}
        if isinstance(wanted, Inpaint):
            width, height = self._given.image.size
            given |= {"mask_image": self._given.mask, "width": width, "height": height}
        return given

    @contextmanager
    def _stages(self, report: Report) -> Iterator["_Bar"]:
        self._clock.end("encode")
        yield _Bar()
        self._clock.end("denoise")
        report(Progress(stage="decode"))

    def _report_step(self, report: Report, step: int, total: int) -> None:
        now = time.monotonic()
        if step in (1, total) or now - self._reported >= PROGRESS_INTERVAL_S:
            self._reported = now
            report(Progress(stage="denoise", step=step, total=total))

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise Stopped


class _Bar:
    """What a pipeline expects of its progress bar."""

    def update(self) -> Self:
        return self


def fault_of(error: Exception, job: Job) -> JobFault:
    """What a client is told of `error`: its type and text, but never the prompt."""
    text = f"{type(error).__name__}: {error}"
    for secret in (job.input.prompt, job.input.negative_prompt):
        if secret:
            text = text.replace(secret, "…")
    text = text[:MAX_MESSAGE_CHARS]
    # CPU allocations fail with a plain RuntimeError.
    no_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if no_memory or "can't allocate memory" in text:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # or the next job meets the same fragments
        return OutOfMemory(text)
    return JobFault(text)
