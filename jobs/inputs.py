"""What is to be generated, in Diffusers' own words.

One class per task, a union discriminated by `task`. Fields left out take the model's
defaults; the limits of each model are in `jobs.catalogue`. The bounds here are those that
no model exceeds.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: A picture as it travels in JSON: base64, bare or as a data URI, or where it lies.
ImageSource = Annotated[
    str,
    Field(
        min_length=1,
        description="PNG, JPEG or WebP: base64, bare or as a data: URI, or https:// or s3://",
    ),
]
Side = Annotated[int, Field(strict=True, ge=8, le=16384, description="pixels")]
#: The largest seed that torch.Generator takes on every device.
MAX_SEED = 2**63 - 1


class Task(StrEnum):
    """What kind of input a job has."""

    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    INPAINT = "inpaint"


class OutputFormat(StrEnum):
    """How an image is encoded."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"

    @property
    def extension(self) -> str:
        return "jpg" if self is OutputFormat.JPEG else self.value


class GenerationInput(BaseModel):
    """What all tasks have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1, max_length=10_000, description="what the image shows")
    negative_prompt: str | None = Field(
        default=None, max_length=10_000, description="what the image should not show"
    )
    width: Side | None = None
    height: Side | None = None
    num_inference_steps: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = Field(
        default=None, description="denoising steps"
    )
    guidance_scale: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = Field(
        default=None, description="how strictly the prompt is followed; 1 and below: no guidance"
    )
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] | None = Field(
        default=None, description="image k of a job has seed + k; left out: one of its own"
    )
    num_images_per_prompt: int = Field(default=1, strict=True, ge=1, le=64)
    scheduler: str | None = Field(
        default=None, description="Diffusers class name; left out: the model's own"
    )
    output_format: OutputFormat = OutputFormat.PNG


class TextToImage(GenerationInput):
    """An image from words alone."""

    task: Literal["text-to-image"] = "text-to-image"


class FromImage(GenerationInput):
    """What the tasks that start from an image have in common; it sets width and height."""

    image: ImageSource


class ImageToImage(FromImage):
    """An image from words and another image."""

    task: Literal["image-to-image"] = "image-to-image"
    strength: float = Field(
        default=0.8, gt=0, le=1, allow_inf_nan=False, description="near 0 keeps the image"
    )


class Inpaint(FromImage):
    """The white part of the mask painted anew, the rest of the image kept."""

    task: Literal["inpaint"] = "inpaint"
    mask_image: ImageSource
    strength: float = Field(
        default=1.0, gt=0, le=1, allow_inf_nan=False, description="1 ignores what was masked"
    )


JobInput = Annotated[TextToImage | ImageToImage | Inpaint, Field(discriminator="task")]

INPUTS: dict[Task, type[GenerationInput]] = {
    Task.TEXT_TO_IMAGE: TextToImage,
    Task.IMAGE_TO_IMAGE: ImageToImage,
    Task.INPAINT: Inpaint,
}
