"""Pipelines of every family that the engine serves, tiny, with random weights, made on the fly.

The shapes are those of the real ones: an SDXL has two text encoders, pooled embeddings and time
ids, an SD3 three kinds of text and 16 latent channels, a FLUX packed latents and position ids.
"""

import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also as a program of its own

from models.build_tiny import build, text_encoder, tokenizer, vae

WIDTH = 32
FAMILIES = ("sd", "sdxl", "sd3", "flux")


@cache
def pipeline(family: str) -> Any:
    """The text-to-image pipeline of a family; the same weights at every call."""
    torch.manual_seed(0)
    made = {
        "sd": build,
        "sd-inpaint": lambda: _stable_diffusion(in_channels=9),
        "sd-lcm": lambda: _stable_diffusion(in_channels=4, time_cond_proj_dim=16),
        "sdxl": stable_diffusion_xl,
        "sd3": stable_diffusion_3,
        "flux": flux,
    }[family]()
    made.set_progress_bar_config(disable=True)
    return made


def stable_diffusion_xl() -> Any:
    """Two text encoders, the second with a projection; added conditions by text and time."""
    words = tokenizer()
    first, second = text_encoder(words, WIDTH), _projected(words)
    time_width = 8
    return StableDiffusionXLPipeline(
        vae=vae(WIDTH),
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=words,
        tokenizer_2=words,
        unet=UNet2DConditionModel(
            sample_size=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(WIDTH, 2 * WIDTH),
            layers_per_block=1,
            transformer_layers_per_block=(1, 2),
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=time_width,
            projection_class_embeddings_input_dim=6 * time_width + WIDTH,
            cross_attention_dim=2 * WIDTH,
            norm_num_groups=8,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    )


def stable_diffusion_3() -> Any:
    """A joint transformer; the T5 encoder is left out, as many do for its size."""
    words = tokenizer()
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=4 * WIDTH,
            caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_flow_vae(latent_channels=16),
        text_encoder=_projected(words),
        tokenizer=words,
        text_encoder_2=_projected(words),
        tokenizer_2=words,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def flux() -> Any:
    """A guidance-distilled FLUX; texts come as embeddings, since T5 is left out."""
    words = tokenizer()
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 8),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_flow_vae(latent_channels=4),
        text_encoder=text_encoder(words, WIDTH),
        tokenizer=words,
        text_encoder_2=None,
        tokenizer_2=None,
    )


def flux_words(seed: int) -> dict[str, torch.Tensor]:
    """Embeddings in place of a FLUX prompt."""
    random = torch.Generator().manual_seed(1000 + seed)
    return {
        "prompt_embeds": torch.randn(1, 16, WIDTH, generator=random),
        "pooled_prompt_embeds": torch.randn(1, WIDTH, generator=random),
    }


@cache
def controlnet(family: str) -> Any:
    """A ControlNet for the UNet of a family, with weights that have an effect."""
    torch.manual_seed(1)
    made = ControlNetModel.from_unet(
        pipeline(family).unet, conditioning_embedding_out_channels=(8, 8, 16, 16)
    )
    for name, weight in made.named_parameters():
        if "controlnet" in name:  # they begin at zero
            torch.nn.init.normal_(weight, std=0.05)
    return made


def _stable_diffusion(**unet: Any) -> Any:
    base = build()
    parts = dict(base.components)
    config = dict(base.unet.config) | unet
    parts["unet"] = UNet2DConditionModel.from_config(config)
    return StableDiffusionPipeline(**parts, requires_safety_checker=False)


def _projected(words: Any) -> CLIPTextModelWithProjection:
    config = text_encoder(words, WIDTH).config
    return CLIPTextModelWithProjection(CLIPTextConfig(**config.to_dict()))


def _flow_vae(latent_channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 16, 32, 32),
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=8,
        sample_size=64,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0609,
        scaling_factor=1.5035,
    )


if __name__ == "__main__":
    pipeline(sys.argv[1]).save_pretrained(sys.argv[2], safe_serialization=True)
