"""A model's options put into effect: layout, attention, the autoencoder's dtype."""

from collections.abc import Iterator
from typing import Any

import torch

from jobs.catalogue import Options
from serve_app.engine.cast import DENOISERS


def apply(options: Options, pipeline: Any) -> None:
    """Change the pipeline's modules in place, before any call."""
    if options.channels_last:
        for module in (*denoisers(pipeline), pipeline.vae):
            module.to(memory_format=torch.channels_last)
    if options.fused_attention:
        for module in denoisers(pipeline):
            module.fuse_qkv_projections()
    if options.vae_dtype is not None:
        pipeline.vae.to(getattr(torch, options.vae_dtype))


def denoisers(pipeline: Any) -> Iterator[Any]:
    """The modules that do the denoising, a ControlNet among them."""
    for name in DENOISERS:
        module = getattr(pipeline, name, None)
        if module is not None:
            yield module
