"""How much work a job is, known before it starts: what schedulers and the autoscaler count."""

from jobs.inputs import GenerationInput, ImageToImage, Inpaint
from jobs.job import Job


def work(job: Job) -> int:
    """Row-steps of the job: rows of one forward times denoising steps."""
    return work_of(job.input)


def work_of(wanted: GenerationInput) -> int:
    """Row-steps of a job with this input."""
    return rows_of(wanted) * steps_of(wanted)


def steps_of(wanted: GenerationInput) -> int:
    """Denoising steps; those that an image at low strength leaves out are not done."""
    steps = wanted.num_inference_steps or 1
    if isinstance(wanted, ImageToImage | Inpaint):
        return int(steps * wanted.strength)
    return steps


def has_guidance(wanted: GenerationInput) -> bool:
    """Whether pictures are predicted without their words, too, or with the negative prompt's."""
    return wanted.guidance_scale is None or wanted.guidance_scale > 1


def rows_of(wanted: GenerationInput) -> int:
    """Rows of one forward: with guidance there are two predictions of each picture."""
    return wanted.num_images_per_prompt * (2 if has_guidance(wanted) else 1)
