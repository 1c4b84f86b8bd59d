"""Image-to-image and inpaint of the demo model: what an edit keeps, and whether it follows."""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random

import numpy as np
from diffusers import (
    DiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
)
from PIL import Image

from bench.shares import Figures, difference, report
from training.captions import full_caption
from training.checker import look
from training.drawing import draw
from training.scene import COLOURS, PICTURE_SIZE, SHAPES, Scene
from training.split import held_out_scenes, training_scenes
from training.trial import Picture, generate, judge_scene, load, round_trip

#: Few steps are run at low strength, all but one at high strength. The model's noise schedule is
#: steeper than Stable Diffusion's: 0.2 leaves as much of a picture as 0.27 does there.
LOW_STRENGTHS, HIGH_STRENGTH = (0.2, 0.3), 0.95
#: An item whose centre moved less than this many pixels kept its place.
SAME_PLACE = 4


def measure_img2img(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """Low strength keeps the layout, more of it the less is changed; high strength follows."""
    edit = load(StableDiffusionImg2ImgPipeline, options.model)
    before = list(islice(training_scenes(Random("before"), pair_share=0), options.cases))
    after = list(islice(held_out_scenes(Random("after"), item_count=1), options.cases))
    drawn = [draw(scene) for scene in before]
    images = {"image": [Image.fromarray(picture) for picture in drawn]}
    figures: Figures = {}
    edits = {
        "its own prompt": before,
        "another colour": [_recoloured(scene) for scene in before],
        "another picture": after,
    }
    for (asked, scenes), strength in itertools.product(edits.items(), LOW_STRENGTHS):
        prompts = [full_caption(scene) for scene in scenes]
        low = generate(edit, prompts, per_prompt=images, strength=strength)
        kept = [_same_place(a, b) for a, b in zip(drawn, low, strict=True)]
        figures |= report(f"img2img {strength}, {asked}: layout kept", kept)
    prompts = [full_caption(scene) for scene in after]
    high = generate(edit, prompts, per_prompt=images, strength=HIGH_STRENGTH)
    verdicts = [judge_scene(p, s) for p, s in zip(high, after, strict=True)]
    figures |= report(f"img2img {HIGH_STRENGTH}, right", (v.is_right for v in verdicts))
    figures |= report(f"img2img {HIGH_STRENGTH}, background", (v.background for v in verdicts))
    return figures


def _recoloured(scene: Scene) -> Scene:
    """The same, its item in the next colour that is not the background's."""
    (item,) = scene.items
    colours = list(COLOURS)
    later = colours[colours.index(item.colour) + 1 :]
    colour = next(c for c in later + colours if c != scene.background)
    return replace(scene, items=(replace(item, colour=colour),))


def _same_place(one: Picture, other: Picture) -> bool:
    """True if the largest items of both lie in the same place."""
    seen, made = look(one).items, look(other).items
    if not (seen and made):
        return False
    (x0, y0), (x1, y1) = seen[0].centre, made[0].centre
    return max(abs(x1 - x0), abs(y1 - y0)) < SAME_PLACE


def measure_inpaint(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """Replace the right of two items: the left half must stay, the new item must be right."""
    edit = load(StableDiffusionInpaintPipeline, options.model)
    half = PICTURE_SIZE // 2
    mask = np.zeros((PICTURE_SIZE, PICTURE_SIZE), np.uint8)
    mask[:, half:] = 255
    scenes = list(islice(_replacements(), options.cases))
    drawn = [draw(before) for before, _ in scenes]
    arguments = {
        "image": [Image.fromarray(picture) for picture in drawn],
        "mask_image": [Image.fromarray(mask)] * len(drawn),
    }
    prompts = [full_caption(after) for _, after in scenes]
    made = generate(edit, prompts, per_prompt=arguments, strength=1.0)
    verdicts = [judge_scene(p, after) for p, (_, after) in zip(made, scenes, strict=True)]
    left, left_made, left_restored = (
        [picture[:, :half] for picture in pictures]
        for pictures in (drawn, made, round_trip(pipe, drawn))
    )
    return report("inpaint, right", (v.is_right for v in verdicts)) | {
        "inpaint_outside_mask_difference_of_255": difference(left, left_made),
        "inpaint_round_trip_difference_of_255": difference(left, left_restored),
    }


def _replacements() -> Iterator[tuple[Scene, Scene]]:
    """Scenes with one item in each half, and the same with another item on the right."""
    rng = Random("inpaint")
    middle = PICTURE_SIZE // 2
    for before in training_scenes(rng, pair_share=1):
        left, right = before.items
        fits = left.x + left.side // 2 < middle < right.x - right.side // 2
        if before.relation == "left of" and fits:
            colours = [c for c in COLOURS if c not in (before.background, right.colour)]
            other = replace(right, colour=rng.choice(colours), shape=rng.choice(SHAPES))
            yield before, replace(before, items=(left, other))
