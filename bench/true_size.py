"""Stable Diffusion 1.5 and SDXL in their true size, with random weights, and their calls."""

import argparse
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

GUIDANCE = 5.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model of true size, and what one of its images costs."""

    name: str
    side: int
    text_length: int
    text_width: int
    unet: dict[str, Any]
    #: TFLOP of one row of one forward, counted with PyTorch's FlopCounter on meta tensors.
    tflop_per_row: float
    is_xl: bool = False


SD15 = Subject(
    name="sd15",
    side=512,
    text_length=77,
    text_width=768,
    unet={"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    tflop_per_row=0.803,
)
SDXL = Subject(
    name="sdxl",
    side=1024,
    text_length=77,
    text_width=2048,
    unet={
        "sample_size": 128,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    tflop_per_row=6.761,
    is_xl=True,
)
TINY = {"block_out_channels": (32, 64, 64), "norm_num_groups": 8, "sample_size": 8}


def build(subject: Subject, *, device: str, dtype: torch.dtype, tiny: bool) -> Any:
    """The pipeline without text encoders: texts come as embeddings, latents are not decoded."""
    torch.manual_seed(0)
    config = dict(subject.unet)
    if tiny:
        config |= {k: v for k, v in TINY.items() if k != "block_out_channels" or subject.is_xl}
        if not subject.is_xl:
            config["block_out_channels"] = (32, 64, 64, 64)
    with torch.device(device):
        unet = UNet2DConditionModel(**config).to(dtype).eval()
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(32,) * 4,
        ).to(dtype)
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    texts = {"text_encoder": None, "tokenizer": None}
    if subject.is_xl:
        texts |= {"text_encoder_2": None, "tokenizer_2": None}
        pipeline = StableDiffusionXLPipeline(
            vae=vae, unet=unet, scheduler=scheduler, add_watermarker=False, **texts
        )
    else:
        filters = {"safety_checker": None, "feature_extractor": None}
        pipeline = StableDiffusionPipeline(
            vae=vae,
            unet=unet,
            scheduler=scheduler,
            requires_safety_checker=False,
            **filters,
            **texts,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def arguments(
    pipeline: Any, subject: Subject, options: argparse.Namespace, *, seed: int, steps: int
) -> dict[str, Any]:
    """Of one call; every seed has words of its own."""
    random = torch.Generator().manual_seed(seed)
    side = 64 if options.tiny else subject.side
    words = {"dtype": pipeline.unet.dtype, "device": pipeline.unet.device}
    shape = (1, subject.text_length, subject.text_width)
    given: dict[str, Any] = {
        name: torch.randn(shape, generator=random).to(**words)
        for name in ("prompt_embeds", "negative_prompt_embeds")
    }
    if subject.is_xl:
        given |= {
            name: torch.randn((1, 1280), generator=random).to(**words)
            for name in ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")
        }
    return given | {
        "num_inference_steps": steps,
        "guidance_scale": GUIDANCE,
        "width": side,
        "height": side,
        "generator": torch.Generator().manual_seed(seed),
        "output_type": "latent",
    }
