"""Latents as the denoiser leaves them, beside the pictures that they should have become.

What keeps a checker from a star is seldom another shape, mostly an outline that is not sharp
enough to be any. The decoder can mend that, if it has seen such latents: training prompts are
drawn from pure noise, as a user's are, and the truth of each is the drawing that it comes nearest
to (`fitting.py`).
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from tqdm import trange  # type: ignore[import-untyped]

from training import checkpoint
from training.captions import any_wording
from training.denoiser import LATENT_SIZE, LatentPictures
from training.drawing import as_tensor, draw
from training.export import sampling_schedule
from training.fitting import fitted
from training.latents import CHUNK, decoded
from training.text_encoder import token_ids
from training.trial import GUIDANCE, STEPS

#: Three quarters of an hour of one core.
COUNT = 4000


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Latents (n, 4, 16, 16), and the true pictures (n, 64, 64, 3) of 0-255."""

    latents: Tensor
    truth: Tensor

    def batch(self, rng: Random, count: int) -> tuple[Tensor, Tensor]:
        """Some latents, and their pictures: (count, 4, 16, 16) and (count, 3, 64, 64)."""
        chosen = [rng.randrange(len(self.latents)) for _ in range(count)]
        return self.latents[chosen], as_tensor(list(self.truth[chosen].numpy()))


def attempts(
    pictures: LatentPictures,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    *,
    folder: Path,
    device: str,
) -> Attempts:
    """Draw `COUNT` training prompts, or take what was drawn from disk."""
    state = checkpoint.load(folder / "attempts.pt")
    mark = float(sum(p.abs().sum() for p in unet.parameters()))
    if state is None or state["mark"] != mark:
        rng = Random("attempts")
        made_latents: list[Tensor] = []
        made_truth: list[Tensor] = []
        for _ in trange(0, COUNT, CHUNK, desc="attempts"):
            scenes = [pictures.scenes[pictures.pick(rng)] for _ in range(min(CHUNK, COUNT))]
            made = _drawn(pictures, unet, [any_wording(s, rng) for s in scenes], rng, device)
            nearest = map(fitted, scenes, decoded(vae, made))
            for one, scene in zip(made.cpu(), nearest, strict=True):
                if scene is not None:
                    made_latents.append(one)
                    made_truth.append(torch.from_numpy(draw(scene)))
        state = {
            "latents": torch.stack(made_latents),
            "truth": torch.stack(made_truth),
            "mark": mark,
        }
        checkpoint.save(folder / "attempts.pt", state)
    return Attempts(
        latents=torch.as_tensor(state["latents"]), truth=torch.as_tensor(state["truth"])
    )


def _drawn(
    pictures: LatentPictures,
    unet: UNet2DConditionModel,
    prompts: list[str],
    rng: Random,
    device: str,
) -> Tensor:
    """What the pipeline's loop leaves of pure noise, with guidance: (n, 4, 16, 16)."""
    schedule = sampling_schedule()
    schedule.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    shape = (len(prompts), pictures.latents.shape[1], LATENT_SIZE, LATENT_SIZE)
    latents = torch.randn(shape, generator=generator).to(device)
    ids = token_ids(pictures.tokenizer, [""] * len(prompts) + prompts).to(device)
    with torch.no_grad():
        context = pictures.text_encoder(ids).last_hidden_state
        for timestep in schedule.timesteps:
            both = unet(torch.cat([latents, latents]), timestep, context).sample
            free, told = both.chunk(2)
            velocity = free + GUIDANCE * (told - free)
            latents = schedule.step(velocity, timestep, latents).prev_sample
    return latents
