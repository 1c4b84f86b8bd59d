"""The copy of a pipeline that a fiber runs: its heavy parts replaced by stand-ins."""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from serve_app.engine.order import Order
from serve_app.engine.preview import Watch
from serve_app.engine.rows import RULES
from serve_app.engine.solver import Tables
from serve_app.engine.standin import Autoencoder, Denoiser, Elsewhere, Encoder
from serve_app.engine.text_cache import TextCache

#: Pipeline classes whose calls are known to be exact in company; each has a parity test. Others
#: may keep state in shared modules (PAG swaps attention processors) and run alone.
SHARING = frozenset(
    f"{family}{task}Pipeline"
    for family in ("StableDiffusion", "StableDiffusionXL", "StableDiffusion3", "Flux")
    for task in ("", "Img2Img", "Inpaint")
) | {
    "StableDiffusionControlNetPipeline",
    "StableDiffusionControlNetImg2ImgPipeline",
    "StableDiffusionControlNetInpaintPipeline",
    "StableDiffusionXLControlNetPipeline",
    "StableDiffusionXLControlNetImg2ImgPipeline",
    "StableDiffusionXLControlNetInpaintPipeline",
}
#: Arguments that change a shared module for the time of a call.
CHANGING = frozenset(
    {
        "cross_attention_kwargs",
        "joint_attention_kwargs",
        "ip_adapter_image",
        "ip_adapter_image_embeds",
        "negative_ip_adapter_image",
        "negative_ip_adapter_image_embeds",
    }
)
DENOISERS = ("unet", "transformer", "controlnet")
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
PROCESSORS = ("image_processor", "mask_processor", "control_image_processor")


def can_share(order: Order) -> bool:
    """Whether the order's forwards can be shared with others'."""
    if order.alone or type(order.pipeline).__name__ not in SHARING:
        return False
    if any(order.arguments.get(name) is not None for name in CHANGING):
        return False
    parts = [getattr(order.pipeline, name, None) for name in DENOISERS]
    return all(
        type(part).__name__ in RULES and not getattr(part, "is_cache_enabled", False)
        for part in parts
        if part is not None
    )


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A pipeline that runs in a fiber, and what a preview of it needs."""

    pipeline: Any
    watch: Watch
    vae_lock: threading.Lock


class Cast:
    """Makes the copies; keeps what all share: locks, texts, autoencoders, solvers' tables."""

    def __init__(self, cache: TextCache) -> None:
        self._cache = cache
        self._tables = Tables()
        self._locks: dict[int, threading.Lock] = {}
        self._autoencoders: dict[int, Any] = {}
        #: By class and configuration: one that was never used, of which each call gets a copy.
        self._unused: dict[tuple[type, str], Any] = {}

    def of(self, pipeline: Any) -> Actor:
        """A copy for one call, with a scheduler of its own and stand-ins for the rest."""
        actor = copy.copy(pipeline)
        parts = vars(actor)  # past Diffusers' `__setattr__`, which would rewrite its config
        parts["scheduler"] = self._scheduler(pipeline.scheduler)
        self._tables.install(parts["scheduler"])
        parts["progress_bar"] = silent
        for name in DENOISERS:
            if parts.get(name) is not None:
                parts[name] = Denoiser(parts[name])
        for name in ENCODERS:
            if (part := parts.get(name)) is not None:
                parts[name] = Encoder(part, lock=self._lock(part), cache=self._cache)
        for name in PROCESSORS:
            if (part := parts.get(name)) is not None:
                stages = {"preprocess": "encode", "postprocess": "decode"}
                parts[name] = Elsewhere(part, lock=self._lock(part), stages=stages)
        vae = self._autoencoder(pipeline.vae)
        parts["vae"] = Autoencoder(vae, lock=self._lock(vae))
        return Actor(pipeline=actor, watch=Watch(actor.scheduler), vae_lock=self._lock(vae))

    def _lock(self, part: Any) -> threading.Lock:
        return self._locks.setdefault(id(part), threading.Lock())

    def _scheduler(self, own: Any) -> Any:
        """A fresh one; making it from its configuration takes four times as long as copying."""
        key = type(own), repr(own.config)
        if key not in self._unused:
            self._unused[key] = type(own).from_config(own.config)
        return copy.deepcopy(self._unused[key])

    def _autoencoder(self, vae: Any) -> Any:
        """One of a fixed dtype: pipelines would turn the shared one to float32 and back."""
        if vae.dtype != torch.float16 or not vae.config.force_upcast:
            return vae
        if id(vae) not in self._autoencoders:
            self._autoencoders[id(vae)] = copy.deepcopy(vae).to(torch.float32)
        return self._autoencoders[id(vae)]


@contextmanager
def silent(total: int | None = None, **_: Any) -> Iterator["_Bar"]:
    """Progress is told by steps; a bar per job would cost more than some steps."""
    del total
    yield _Bar()


class _Bar:
    """What a pipeline expects of its progress bar."""

    def update(self, steps: int = 1) -> None:
        """Nothing to show."""
