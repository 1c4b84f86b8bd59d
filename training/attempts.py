"""Latents as the denoiser leaves them, beside the pictures that they should have become.

What keeps a checker from a star is seldom another shape, mostly an outline that is not sharp
enough to be any. The decoder can mend that, if it has seen such latents: training prompts are
drawn from pure noise, as a user's are, and the truth of each is the drawing that it comes nearest
to (`fitting.py`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import CLIPTextModel, CLIPTokenizer

from training import checkpoint
from training.autoencoder import LATENT_CHANNELS
from training.captions import any_wording
from training.denoiser import LATENT_SIZE, SHOWN, shown_share
from training.drawing import as_tensor, draw
from training.errors import NothingShownError
from training.export import sampling_schedule
from training.fitting import fitted
from training.latents import decoded
from training.scene import PICTURE_SIZE, Scene
from training.split import training_scenes
from training.stage import CHECKPOINT_EVERY_S
from training.text_encoder import token_ids
from training.trial import GUIDANCE, STEPS

#: Prompts drawn at once: 17 s of one slow core.
CHUNK = 25
#: An hour and a quarter of one slow core. A tenth shows no truth (`fitting.py`) and is left out.
COUNT = 7000


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Latents (n, 4, 16, 16), and the true pictures (n, 64, 64, 3) of 0-255."""

    latents: Tensor
    truth: Tensor

    def batch(self, rng: Random, count: int) -> tuple[Tensor, Tensor]:
        """Some latents, and their pictures: (count, 4, 16, 16) and (count, 3, 64, 64)."""
        chosen = [rng.randrange(len(self.latents)) for _ in range(count)]
        return self.latents[chosen], as_tensor(list(self.truth[chosen].numpy()))

    def joined(self, other: "Attempts") -> "Attempts":
        """These and then the other ones."""
        return Attempts(
            latents=torch.cat([self.latents, other.latents]),
            truth=torch.cat([self.truth, other.truth]),
        )


@dataclass(frozen=True, kw_only=True)
class Sketcher:
    """The finished parts of a model that draw training prompts from pure noise."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    device: str

    def attempts(self, *, seed: int, folder: Path, deadline: float) -> Attempts | None:
        """`COUNT` of them, from disk as far as they are there; None if the deadline came first."""
        path = folder / "attempts.pt"
        weights = checkpoint.fingerprint(self.vae, self.unet, self.text_encoder)
        mark = f"{type(sampling_schedule()).__name__} {weights}"
        state = checkpoint.load(path)
        if state is None or state["mark"] != mark:
            state = {"drawn": 0, **vars(NONE)}
        made = Attempts(latents=state["latents"], truth=state["truth"])
        saved_at = time.time()
        with tqdm(total=COUNT, initial=state["drawn"], desc="attempts") as bar:
            while bar.n < COUNT and time.time() < deadline:
                count = min(CHUNK, COUNT - bar.n)
                made = made.joined(self._chunk(Random(f"attempts {seed} {bar.n}"), count))
                bar.update(count)
                if time.time() - saved_at > CHECKPOINT_EVERY_S:
                    checkpoint.save(path, {"mark": mark, "drawn": bar.n, **vars(made)})
                    saved_at = time.time()
            checkpoint.save(path, {"mark": mark, "drawn": bar.n, **vars(made)})
            if bar.n < COUNT:
                return None
        if not len(made.latents):
            raise NothingShownError("no drawn prompt comes near to what it asks: train longer")
        return made

    def _chunk(self, rng: Random, count: int) -> Attempts:
        """Those of `count` prompts that show what was asked, beside their truth."""
        scenes = list(islice(shown_scenes(rng), count))
        latents = self._drawn([any_wording(scene, rng) for scene in scenes], rng)
        nearest = list(map(fitted, scenes, decoded(self.vae, latents)))
        kept = [number for number, scene in enumerate(nearest) if scene is not None]
        truth = [torch.from_numpy(draw(scene)) for scene in nearest if scene is not None]
        return Attempts(
            latents=latents.cpu()[kept],
            truth=torch.stack(truth) if truth else NONE.truth,
        )

    def _drawn(self, prompts: list[str], rng: Random) -> Tensor:
        """What the pipeline's loop leaves of pure noise, with guidance: (n, 4, 16, 16)."""
        schedule = sampling_schedule()
        schedule.set_timesteps(STEPS)
        generator = torch.Generator().manual_seed(rng.getrandbits(32))
        shape = (len(prompts), LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE)
        # On the CPU: the same numbers on every device.
        latents = torch.randn(shape, generator=generator).to(self.device)
        latents = latents * schedule.init_noise_sigma
        ids = token_ids(self.tokenizer, [""] * len(prompts) + prompts).to(self.device)
        with torch.no_grad():
            context = self.text_encoder(ids).last_hidden_state
            for timestep in schedule.timesteps:
                seen = schedule.scale_model_input(latents, timestep)
                both = self.unet(torch.cat([seen, seen]), timestep, context).sample
                free, told = both.chunk(2)
                velocity = free + GUIDANCE * (told - free)
                latents = schedule.step(
                    velocity, timestep, latents, generator=generator
                ).prev_sample
        return latents


#: Before the first.
NONE = Attempts(
    latents=torch.empty(0, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE),
    truth=torch.empty(0, PICTURE_SIZE, PICTURE_SIZE, 3, dtype=torch.uint8),
)


def shown_scenes(rng: Random) -> Iterator[Scene]:
    """Endless training scenes, hard ones more often."""
    most = max(SHOWN.values())
    return (scene for scene in training_scenes(rng) if rng.random() * most < shown_share(scene))
