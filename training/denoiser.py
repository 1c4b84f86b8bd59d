"""The denoiser: a UNet on 16x16 latents that is told the prompt by the finished text encoder.

The text encoder stays as `text_encoder.py` left it: its last places hold the facts already, and
training it along would cost a quarter of each step. Where an item is, the UNet is shown to read
that item's words (`grounding.py`): without this, binding words to places takes most of the time.
"""

from bisect import bisect
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.autoencoder import LATENT_CHANNELS, edges
from training.captions import random_caption
from training.grounding import AttentionSight, grounding_loss, told_share
from training.scene import Scene
from training.stage import Plan
from training.text_encoder import TEXT_WIDTH, token_ids

LATENT_SIZE = 16
BATCH = 64
#: Share of prompts left empty, which is what guidance compares with.
EMPTY_PROMPTS = 0.1
#: The first steps see one item only: colours and shapes are bound before relations.
ONE_ITEM_STEPS = 800
#: Latents on an edge count up to this much more, by the share of signal that the noise leaves:
#: where hardly any is left nobody can tell an edge, and weighing it would draw items too large.
EDGE_WEIGHT = 3.0
#: Latents that differ by more than this from a neighbour are an edge; on flat ground they are even.
EDGE_STEP = 0.5
#: How often a scene is shown, by its hardest part: outlines with thin points are learnt last.
SHOWN = {"star": 3.0, "triangle": 2.0, "cross": 2.0, "inside": 3.0}
#: Weight of the attention's error beside the velocity's, which falls from 1 to about 0.1.
GROUNDING_WEIGHT = 0.05

#: A linear schedule ends at almost pure noise (0.6 % signal; Stable Diffusion's own leaves 7 %).
#: So backgrounds can be of any colour although sampling starts from noise of mean zero.
NOISE_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "prediction_type": "v_prediction",
}

PLAN = Plan(name="denoiser", steps=8000, learning_rate=1e-3, decay_share=0.5)


def build_unet() -> UNet2DConditionModel:
    """About 5 M parameters, 11 ms a picture and step on one core.

    The 16x16 level has no attention: it draws outlines, what to draw is decided below.
    """
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(40, 80, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,  # in this class of Diffusers the number of heads
        norm_num_groups=8,
    )
    # PyTorch's fused attention takes 43 % of a step on a CPU in its backward pass.
    unet.set_attn_processor(AttnProcessor())
    return unet


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one step sees: latents (n, 4, 16, 16), token ids (n, tokens), ground (n, 3, 8, 8)."""

    latents: Tensor
    ids: Tensor
    ground: Tensor

    def to(self, device: str) -> "Batch":
        """The same on a device."""
        return Batch(
            latents=self.latents.to(device),
            ids=self.ids.to(device),
            ground=self.ground.to(device),
        )


@dataclass(frozen=True, kw_only=True)
class LatentPictures:
    """What the denoiser learns from: scenes, their latents and grounds, and the words."""

    scenes: list[Scene]
    latents: Tensor
    grounds: Tensor
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    #: Steps that see one item only; none for a model that can bind words already.
    one_item_steps: int = ONE_ITEM_STEPS

    @cached_property
    def shown(self) -> list[float]:
        """Running sum of how often each scene is shown."""
        return list(accumulate(shown_share(scene) for scene in self.scenes))

    def pick(self, rng: Random) -> int:
        """Some scene, hard ones more often."""
        return bisect(self.shown, rng.random() * self.shown[-1])

    def batch(self, step: int) -> Batch:
        """Pictures and captions of a step, the same ones in every run."""
        rng = Random(f"denoiser {step}")
        chosen: list[int] = []
        while len(chosen) < BATCH:
            index = self.pick(rng)
            if step >= self.one_item_steps or len(self.scenes[index].items) == 1:
                chosen.append(index)
        texts, told = [], []
        for scene in (self.scenes[i] for i in chosen):
            text, statement = random_caption(scene, rng)
            is_empty = rng.random() < EMPTY_PROMPTS
            texts.append("" if is_empty else text)
            told.append(told_share(statement, is_empty=is_empty))
        return Batch(
            latents=self.latents[chosen].float(),
            ids=token_ids(self.tokenizer, texts),
            ground=self.grounds[chosen] * torch.tensor(told)[:, None, None, None],
        )


def shown_share(scene: Scene) -> float:
    """How often a scene is shown, beside the easiest."""
    parts = [item.shape for item in scene.items]
    return max(SHOWN.get(part, 1.0) for part in (*parts, scene.relation or ""))


def edge_weights(latents: Tensor, signal: Tensor) -> Tensor:
    """1 on flat ground, up to 1 + EDGE_WEIGHT on edges: (n, 1, 16, 16) for signal (n,), 0-1."""
    return 1 + EDGE_WEIGHT * signal[:, None, None, None] * edges(latents, EDGE_STEP)


def denoiser_loss(
    unet: UNet2DConditionModel,
    sight: AttentionSight,
    pictures: LatentPictures,
    *,
    step: int,
    device: str,
) -> Tensor:
    """Squared error of the velocity, at timesteps spread over the batch, and of the attention."""
    batch = pictures.batch(step).to(device)
    generator = torch.Generator().manual_seed(step)
    noise = torch.randn(batch.latents.shape, generator=generator).to(device)
    spread = (torch.arange(BATCH) + torch.rand(BATCH, generator=generator)) / BATCH
    # The middle, where shapes and places are decided, twice as often as an even spread would.
    spread = spread + 0.5 * torch.sin(2 * torch.pi * spread) / (2 * torch.pi)
    timesteps = (spread * NOISE_SCHEDULE["num_train_timesteps"]).long().to(device)
    schedule = DDPMScheduler(**NOISE_SCHEDULE)
    noisy = schedule.add_noise(batch.latents, noise, timesteps)
    with torch.no_grad():
        context = pictures.text_encoder(batch.ids).last_hidden_state
    velocity = unet(noisy, timesteps, context).sample
    truth = schedule.get_velocity(batch.latents, noise, timesteps)
    signal = schedule.alphas_cumprod.to(device)[timesteps]
    weights = edge_weights(batch.latents, signal)
    error = (weights * (velocity - truth) ** 2).mean() / weights.mean()
    return error + GROUNDING_WEIGHT * grounding_loss(sight.taken(), batch.ground)
