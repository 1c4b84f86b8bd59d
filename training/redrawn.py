"""Latents as the denoiser leaves them, beside the pictures that they should have become.

What keeps a checker from a star is seldom another shape, mostly an outline that is not sharp
enough to be any. The decoder can mend that, if it has seen such latents: known pictures are made
noisy up to the middle and drawn again from their captions, as a user's picture is in its second
half, so that layout and truth stay the same while the outlines are the denoiser's own.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from tqdm import trange  # type: ignore[import-untyped]

from training import checkpoint
from training.captions import any_wording
from training.denoiser import LatentPictures
from training.drawing import as_tensor, draw
from training.export import sampling_schedule
from training.scene import Scene
from training.text_encoder import token_ids
from training.trial import GUIDANCE, STEPS

#: About ten minutes of one core.
COUNT = 3000
CHUNK = 50
#: Steps of `STEPS` that are left out: the picture is begun at 55 to 30 % of the noise.
FIRST_STEPS = range(9, 15)
#: Mean distance to the true latents beyond which it has become another picture.
MAX_DISTANCE = 0.4


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """Scenes, and their latents as the denoiser has drawn them: (n, 4, 16, 16)."""

    scenes: list[Scene]
    latents: Tensor

    def batch(self, rng: Random, count: int) -> tuple[Tensor, Tensor]:
        """Some latents, and the true pictures: (count, 4, 16, 16) and (count, 3, 64, 64)."""
        chosen = [rng.randrange(len(self.scenes)) for _ in range(count)]
        return self.latents[chosen], as_tensor([draw(self.scenes[i]) for i in chosen])


def redrawn(
    pictures: LatentPictures, unet: UNet2DConditionModel, *, folder: Path, device: str
) -> Redrawn:
    """Draw `COUNT` training pictures again, or take them from disk."""
    rng = Random("redrawn")
    chosen = [pictures.pick(rng) for _ in range(COUNT)]
    state = checkpoint.load(folder / "redrawn.pt")
    mark = float(sum(p.abs().sum() for p in unet.parameters()))
    if state is None or state["mark"] != mark:
        made = []
        for start in trange(0, COUNT, CHUNK, desc="redrawn"):
            made.append(_drawn(pictures, unet, chosen[start : start + CHUNK], rng, device))
        state = {"latents": torch.cat(made), "mark": mark}
        checkpoint.save(folder / "redrawn.pt", state)
    latents = torch.as_tensor(state["latents"])
    distance = (latents - pictures.latents[chosen].float()).abs().mean((1, 2, 3))
    kept = (distance <= MAX_DISTANCE).nonzero().flatten().tolist()
    return Redrawn(scenes=[pictures.scenes[chosen[i]] for i in kept], latents=latents[kept])


def _drawn(
    pictures: LatentPictures,
    unet: UNet2DConditionModel,
    chosen: list[int],
    rng: Random,
    device: str,
) -> Tensor:
    """The second half of a user's picture, with guidance."""
    schedule = sampling_schedule()
    schedule.set_timesteps(STEPS)
    timesteps = schedule.timesteps[rng.choice(FIRST_STEPS) :]
    clean = pictures.latents[chosen].float()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(rng.getrandbits(32)))
    latents = schedule.add_noise(clean, noise, timesteps[:1].expand(len(chosen))).to(device)
    texts = [any_wording(pictures.scenes[i], rng) for i in chosen]
    ids = token_ids(pictures.tokenizer, [""] * len(texts) + texts).to(device)
    with torch.no_grad():
        context = pictures.text_encoder(ids).last_hidden_state
        for timestep in timesteps:
            both = unet(torch.cat([latents, latents]), timestep, context).sample
            free, told = both.chunk(2)
            velocity = free + GUIDANCE * (told - free)
            latents = schedule.step(velocity, timestep, latents).prev_sample
    return latents.cpu()
