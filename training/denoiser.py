"""The denoiser: a UNet on 8x8 latents that is told the prompt by the finished text encoder.

The text encoder stays as `text_encoder.py` left it: its last places hold the facts already, and
training it along would cost a quarter of each step.
"""

from dataclasses import dataclass
from random import Random

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from training.autoencoder import LATENT_CHANNELS
from training.captions import random_caption
from training.scene import Scene
from training.stage import Plan
from training.text_encoder import TEXT_WIDTH, token_ids

LATENT_SIZE = 8
BATCH = 64
#: Share of prompts left empty, which is what guidance compares with.
EMPTY_PROMPTS = 0.1
#: The first steps see one item only: colours and shapes are bound before relations.
ONE_ITEM_STEPS = 800

#: A linear schedule ends at almost pure noise (0.6 % signal; Stable Diffusion's own leaves 7 %).
#: So backgrounds can be of any colour although sampling starts from noise of mean zero.
NOISE_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "prediction_type": "v_prediction",
}

PLAN = Plan(name="denoiser", steps=8800, learning_rate=1e-3, decay_share=0.6)


def build_unet() -> UNet2DConditionModel:
    """About 5 M parameters, 6 ms a picture and step on one core."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(96, 128),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,  # in this class of Diffusers the number of heads
        norm_num_groups=16,
    )
    # PyTorch's fused attention takes 43 % of a step on a CPU in its backward pass.
    unet.set_attn_processor(AttnProcessor())
    return unet


@dataclass(frozen=True, kw_only=True)
class LatentPictures:
    """What the denoiser learns from: scenes, in the same order their latents, and the words."""

    scenes: list[Scene]
    latents: Tensor
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Latents (BATCH, 8, 8, 8) and token ids (BATCH, tokens) of a step."""
        rng = Random(f"denoiser {step}")
        chosen: list[int] = []
        while len(chosen) < BATCH:
            index = rng.randrange(len(self.scenes))
            if step >= ONE_ITEM_STEPS or len(self.scenes[index].items) == 1:
                chosen.append(index)
        texts = [random_caption(self.scenes[i], rng)[0] for i in chosen]
        texts = ["" if rng.random() < EMPTY_PROMPTS else text for text in texts]
        return self.latents[chosen].float(), token_ids(self.tokenizer, texts)


def velocity_loss(
    unet: UNet2DConditionModel, pictures: LatentPictures, *, step: int, device: str
) -> Tensor:
    """Squared error of the velocity, at timesteps spread over the batch."""
    latents, ids = (t.to(device) for t in pictures.batch(step))
    generator = torch.Generator().manual_seed(step)
    noise = torch.randn(latents.shape, generator=generator).to(device)
    spread = (torch.arange(BATCH) + torch.rand(BATCH, generator=generator)) / BATCH
    # The middle, where shapes and places are decided, twice as often as an even spread would.
    spread = spread + 0.5 * torch.sin(2 * torch.pi * spread) / (2 * torch.pi)
    timesteps = (spread * NOISE_SCHEDULE["num_train_timesteps"]).long().to(device)
    schedule = DDPMScheduler(**NOISE_SCHEDULE)
    noisy = schedule.add_noise(latents, noise, timesteps)
    with torch.autocast(device, torch.bfloat16):
        with torch.no_grad():
            context = pictures.text_encoder(ids).last_hidden_state
        velocity = unet(noisy, timesteps, context).sample
    return functional.mse_loss(velocity.float(), schedule.get_velocity(latents, noise, timesteps))
