"""Pipeline calls that are made twice: plainly, which is the oracle, and by the engine."""

import copy
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image
from tiny_models import controlnet, flux_words, pipeline

from serve_app.engine.engine import Engine
from serve_app.engine.order import Made, Order, Step, Ticket

#: Rounding in another order of additions; the shares that go wrong are a thousand times larger.
TOLERANCE = 1e-4
TIMEOUT_S = 120

#: Name: (class, what its configuration changes, what the call adds).
SCHEDULERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}, {}),
    "ddim-eta": ("DDIMScheduler", {}, {"eta": 1.0}),
    "ddpm": ("DDPMScheduler", {}, {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}, {}),
    "euler": ("EulerDiscreteScheduler", {}, {}),
    "euler-karras": (
        "EulerDiscreteScheduler",
        {"use_karras_sigmas": True, "timestep_spacing": "leading"},
        {},
    ),
    "euler-zero-snr": (
        "EulerDiscreteScheduler",
        {
            "timestep_spacing": "trailing",
            "rescale_betas_zero_snr": True,
            "prediction_type": "v_prediction",
        },
        {"guidance_rescale": 0.7},
    ),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}, {}),
    "heun": ("HeunDiscreteScheduler", {}, {}),
    "kdpm2": ("KDPM2DiscreteScheduler", {}, {}),
    "kdpm2-ancestral": ("KDPM2AncestralDiscreteScheduler", {}, {}),
    "dpmpp-2m": ("DPMSolverMultistepScheduler", {}, {}),
    "dpmpp-2m-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}, {}),
    "dpmpp-2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, {}),
    "dpm-singlestep": ("DPMSolverSinglestepScheduler", {}, {}),
    "unipc": ("UniPCMultistepScheduler", {}, {}),
    "deis": ("DEISMultistepScheduler", {}, {}),
    "lcm": ("LCMScheduler", {}, {}),
    "tcd": ("TCDScheduler", {}, {}),
}
#: These ask the model itself for guidance, by an embedding.
DISTILLED = ("lcm", "tcd")


@dataclass(kw_only=True)
class PlainCall:
    """A pipeline and the arguments of its call; each use gets generators of its own."""

    pipeline: Any
    arguments: dict[str, Any]
    seed: int = 0
    count: int = 1
    order: dict[str, Any] = field(default_factory=dict)

    def given(self) -> dict[str, Any]:
        """The arguments, with fresh random numbers."""
        seeds = range(self.seed, self.seed + self.count)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return {"output_type": "latent", **self.arguments} | {
            "generator": generators if self.count > 1 else generators[0]
        }

    def alone(self) -> Any:
        """What the plain call gives."""
        own = copy.copy(self.pipeline)
        scheduler = type(own.scheduler).from_config(own.scheduler.config)
        vars(own)["scheduler"] = scheduler
        with torch.no_grad():
            return _array(own(**self.given()))

    def ordered(self) -> Order:
        """The same call as an order."""
        steps = self.arguments["num_inference_steps"]
        return Order(pipeline=self.pipeline, arguments=self.given(), steps=steps, **self.order)


def _array(output: Any) -> Any:
    images = output.images
    return images.numpy() if isinstance(images, torch.Tensor) else images


def worst_difference(engine: Engine, calls: Sequence[PlainCall], *, seed: int = 0) -> float:
    """Largest relative difference to the plain calls, sent in random order at random times."""
    truths = [call.alone() for call in calls]
    return max(map(difference, made_together(engine, calls, seed=seed), truths))


def difference(made: Made, truth: Any) -> float:
    """Of one output, relative to the largest value of the truth."""
    assert not made.was_exclusive
    return float(np.abs(_array(made.output) - truth).max() / np.abs(truth).max())


def made_together(engine: Engine, calls: Sequence[PlainCall], *, seed: int = 0) -> list[Made]:
    """What the engine gives, in the order of the calls."""
    rng = random.Random(seed)
    tickets = {}
    for index in rng.sample(range(len(calls)), len(calls)):
        tickets[index] = engine.submit(calls[index].ordered())
        time.sleep(rng.random() * 0.02)
    return [tickets[index].future.result(TIMEOUT_S) for index in range(len(calls))]


def with_scheduler(family: str, name: str) -> tuple[Any, dict[str, Any]]:
    """The family's pipeline under another scheduler, and what its call adds."""
    kind, changes, arguments = SCHEDULERS[name]
    base = pipeline("sd-lcm" if name in DISTILLED else family)
    own = copy.copy(base)
    config = dict(base.scheduler.config) | changes
    vars(own)["scheduler"] = getattr(diffusers, kind).from_config(config)
    return own, arguments


def other_task(base: Any, task: str) -> Any:
    """The same parts under the class of another task: "Img2Img", "Inpaint", "ControlNet"."""
    name = type(base).__name__.replace("Pipeline", f"{task}Pipeline")
    parts = {k: v for k, v in base.components.items() if k != "image_encoder"}
    if "ControlNet" in task:
        parts["controlnet"] = controlnet("sdxl" if "XL" in name else "sd")
    if name.startswith("StableDiffusion") and "XL" not in name and "3" not in name:
        parts["requires_safety_checker"] = False
    made = getattr(diffusers, name)(**parts)
    made.set_progress_bar_config(disable=True)
    return made


def words(family: str, index: int) -> dict[str, Any]:
    """A prompt, or for FLUX its embeddings."""
    if family == "flux":
        return flux_words(index)
    return {"prompt": f"a red cat {index}", "negative_prompt": "a dog" if index % 2 else None}


def picture(seed: int) -> Image.Image:
    """A smooth random picture, 64 x 64."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)


def mask() -> Image.Image:
    """The right half white."""
    return Image.fromarray(np.repeat([[0] * 32 + [255] * 32], 64, 0).astype(np.uint8))


def call(index: int = 0, *, steps: int = 6, side: int = 64, **order: Any) -> PlainCall:
    """A text-to-image call of the Stable Diffusion."""
    arguments = {**words("sd", index), "num_inference_steps": steps, "guidance_scale": 5.0}
    arguments |= {"width": side, "height": side}
    return PlainCall(pipeline=pipeline("sd"), arguments=arguments, seed=index, order=order)


class Watching:
    """A listener that lets a test wait for a step."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.stages: list[str] = []
        self.began = threading.Event()

    def __call__(self, stage: str, step: Step | None) -> None:
        if step is None:
            self.stages.append(stage)
        else:
            self.steps.append(step.step)
            self.began.set()


def ended(ticket: Ticket) -> Made:
    """The outcome, or its error."""
    return ticket.future.result(TIMEOUT_S)
