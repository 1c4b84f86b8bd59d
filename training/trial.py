"""Trials of a pipeline: held-out prompts, the pictures made from them, the checker's verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray

from training.captions import any_wording
from training.checker import Verdict, judge, look
from training.drawing import as_tensor
from training.latents import decoded
from training.scene import Scene
from training.split import held_out_scenes

#: The setting for which the model is measured.
STEPS = 20
GUIDANCE = 5.0
#: Pictures per pipeline call; each has its own seed, so the size changes nothing but the time.
BATCH = 25

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A scene, the prompt that describes it, and the picture made from the prompt."""

    scene: Scene
    prompt: str
    picture: Picture

    @property
    def verdict(self) -> Verdict:
        """The checker's judgement of the picture."""
        return judge_scene(self.picture, self.scene)


def judge_scene(picture: Picture, scene: Scene) -> Verdict:
    """Compare a picture with a scene's words; places and sizes are free."""
    return judge(
        look(picture),
        items=[(item.colour, item.shape) for item in scene.items],
        relation=scene.relation,
        background=scene.background,
    )


def load(kind: type[DiffusionPipeline], folder: Path) -> DiffusionPipeline:
    """The plain call of a user, in single precision, without progress bars."""
    pipe = kind.from_pretrained(folder, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(
    pipe: DiffusionPipeline,
    prompts: Sequence[str],
    *,
    per_prompt: Mapping[str, Sequence[object]] | None = None,
    **settings: object,
) -> list[Picture]:
    """Pictures of prompts, seeded 0, 1, 2 ...; `per_prompt` arguments are cut into batches too."""
    settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE} | settings
    pictures: list[Picture] = []
    for start in range(0, len(prompts), BATCH):
        chosen = slice(start, start + BATCH)
        texts = list(prompts[chosen])
        seeds = range(start, start + len(texts))
        images = pipe(
            texts,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            **settings,
            **{name: values[chosen] for name, values in (per_prompt or {}).items()},
        ).images
        pictures += [np.array(image) for image in images]
    return pictures


def held_out_trials(
    pipe: DiffusionPipeline, *, item_count: int, count: int, draw: str = ""
) -> list[Trial]:
    """Prompts in all wordings whose combination was never trained, and their pictures.

    Another `draw` has other prompts.
    """
    rng = Random(f"held out {item_count}{draw}")
    scenes = list(islice(held_out_scenes(rng, item_count=item_count), count))
    prompts = [any_wording(scene, rng) for scene in scenes]
    together = zip(scenes, prompts, generate(pipe, prompts), strict=True)
    return [Trial(scene=s, prompt=text, picture=p) for s, text, p in together]


def round_trip(pipe: DiffusionPipeline, pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures after the autoencoder alone: the best that any edit can give back."""
    restored: list[Picture] = []
    for start in range(0, len(pictures), BATCH):
        with torch.no_grad():
            latents = pipe.vae.encode(as_tensor(list(pictures[start : start + BATCH])))
        restored += decoded(pipe.vae, latents.latent_dist.mode())
    return restored
