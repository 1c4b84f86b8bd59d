"""Measures `models/demo`: does the picture show what the prompt said?

`python -m bench.demo_model` prints a Markdown table with 95 % intervals and, as its last line,
one JSON object. Every prompt's combination was held out of training, but for the edits of low
strength.
"""

import argparse
import itertools
import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import diffusers
import numpy as np
import torch
from diffusers import (
    DiffusionPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image

from training.captions import full_caption
from training.checker import look
from training.drawing import draw
from training.scene import COLOURS, PICTURE_SIZE, RELATIONS, SHAPES, Scene
from training.split import held_out_scenes, training_scenes
from training.tally import Tally
from training.trial import (
    Picture,
    Trial,
    generate,
    held_out_trials,
    judge_scene,
    load,
    round_trip,
)

SCHEDULERS = (
    "EulerDiscreteScheduler",
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "PNDMScheduler",
)
#: Few steps are run at low strength, all but one at high strength. The model's noise schedule is
#: steeper than Stable Diffusion's: 0.2 leaves as much of a picture as 0.27 does there.
LOW_STRENGTHS, HIGH_STRENGTH = (0.2, 0.3), 0.95
#: An item whose centre moved less than this many pixels kept its place.
SAME_PLACE = 4

Figures = dict[str, float]


def main() -> None:
    """Run every measurement that `--parts` names and print table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--prompts", type=int, default=500, help="half with one, half with two")
    parser.add_argument("--cases", type=int, default=100, help="of every other measurement")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--grid", type=Path, help="write a PNG of held-out samples here and stop")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pipe = load(StableDiffusionPipeline, options.model)
    if options.grid:
        draw_grid(pipe, options.grid)
        return
    print("| measured | share | 95 % interval | cases |\n| --- | --- | --- | --- |")
    figures: Figures = {"threads_count": options.threads}
    for part in options.parts:
        figures |= PARTS[part](pipe, options)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def draw_grid(pipe: DiffusionPipeline, path: Path) -> None:
    """The first 16 held-out trials with one item and with two, right or wrong, as they come."""
    rows = []
    for item_count in (1, 2):
        trials = held_out_trials(pipe, item_count=item_count, count=16)
        print(*(f"{item_count}: {trial.prompt}" for trial in trials), sep="\n")
        rows += [[trial.picture for trial in trials[start : start + 8]] for start in (0, 8)]
    pixels = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    grid = Image.fromarray(pixels)
    grid.resize((2 * grid.width, 2 * grid.height), Image.Resampling.NEAREST).save(path)


def measure_cost(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """Median seconds of one picture of 20 steps, and memory above the imports; run it first."""
    del options
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        generate(pipe, ["a red circle left of a blue square on a white background"])
        seconds.append(time.perf_counter() - start)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "one_image_20_steps_s": sorted(seconds)[4],
        "memory_above_imports_mb": peak_mb - IMPORTS_MB,
        "imports_mb": IMPORTS_MB,
    }


def measure_checker(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """The checker itself: on drawn pictures, and after the autoencoder's round trip."""
    count = 10 * options.cases
    scenes = list(islice(training_scenes(Random("checker")), count))
    for item_count in (1, 2):
        held_out = held_out_scenes(Random("checker"), item_count=item_count)
        scenes += islice(held_out, count // 2)
    drawn = [draw(scene) for scene in scenes]
    restored = round_trip(pipe, drawn)
    figures: Figures = {"round_trip_error_of_255": _difference(drawn, restored)}
    for name, pictures in (("drawn", drawn), ("round trip", restored)):
        verdicts = [judge_scene(p, s) for p, s in zip(pictures, scenes, strict=True)]
        figures |= _report(f"checker, {name}", (v.is_right and v.background for v in verdicts))
    return figures


def measure_prompts(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """The heart: held-out prompts with one item, and with two and a relation."""
    figures: Figures = {}
    for item_count, label in ((1, "one item"), (2, "two items")):
        trials = held_out_trials(pipe, item_count=item_count, count=options.prompts // 2)
        verdicts = [trial.verdict for trial in trials]
        figures |= _report(f"{label}, right", (v.is_right for v in verdicts))
        figures |= _report(f"{label}, background", (v.background for v in verdicts))
        if item_count == 2:
            figures |= _report(f"{label}, without relation", (v.items for v in verdicts))
        for kind, words in (("shape", SHAPES), ("colour", COLOURS), ("relation", RELATIONS)):
            for word in words:
                right = [t.verdict.is_right for t in trials if word in _words(t, kind)]
                if right:
                    figures |= _report(f"{label}, {kind} {word}", right)
    return figures


def _words(trial: Trial, kind: str) -> set[str | None]:
    if kind == "relation":
        return {trial.scene.relation}
    return {getattr(item, kind) for item in trial.scene.items}


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
        figures |= _report(f"img2img {strength}, {asked}: layout kept", kept)
    prompts = [full_caption(scene) for scene in after]
    high = generate(edit, prompts, per_prompt=images, strength=HIGH_STRENGTH)
    verdicts = [judge_scene(p, s) for p, s in zip(high, after, strict=True)]
    figures |= _report(f"img2img {HIGH_STRENGTH}, right", (v.is_right for v in verdicts))
    figures |= _report(f"img2img {HIGH_STRENGTH}, background", (v.background for v in verdicts))
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
    return _report("inpaint, right", (v.is_right for v in verdicts)) | {
        "inpaint_outside_mask_difference_of_255": _difference(left, left_made),
        "inpaint_round_trip_difference_of_255": _difference(left, left_restored),
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


def measure_negative(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """How often an unsaid colour appears, with and without that colour as negative prompt."""
    prompts = [f"a {SHAPES[i % 6]} on a white background" for i in range(2 * options.cases)]
    figures: Figures = {}
    free = _colours(generate(pipe, prompts))
    for colour in ("red", "blue"):
        negatives = {"negative_prompt": [f"a {colour} shape" for _ in prompts]}
        against = _colours(generate(pipe, prompts, per_prompt=negatives))
        for label, seen in (("no", free), (f'"a {colour} shape"', against)):
            figures |= _report(f"{colour} appears, {label} negative", (colour in s for s in seen))
    return figures


def _colours(pictures: list[Picture]) -> list[set[str]]:
    return [{item.colour for item in look(picture).items} for picture in pictures]


def measure_schedulers(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """The same prompts under other samplers, made from the shipped configuration."""
    figures: Figures = {}
    own = pipe.scheduler
    for name in SCHEDULERS:
        pipe.scheduler = getattr(diffusers, name).from_config(own.config)
        trials = held_out_trials(pipe, item_count=1, count=options.cases)
        figures |= _report(f"{name}, one item", (t.verdict.is_right for t in trials))
    pipe.scheduler = own
    return figures


def _report(label: str, outcomes: Iterator[bool] | list[bool]) -> Figures:
    """Print the row at once; name the figure for the JSON line."""
    tally = Tally.of(outcomes)
    print(tally.row(label), flush=True)
    words = "".join(c if c.isalnum() else " " for c in label.lower()).split()
    return {"_".join(words) + "_share": tally.share}


def _difference(one: list[Picture], other: list[Picture]) -> float:
    """Mean absolute difference of pixel values, of 255."""
    return float(np.abs(np.stack(one).astype(float) - np.stack(other)).mean())


#: Peak resident memory when everything is imported and nothing is loaded, in MiB.
IMPORTS_MB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

PARTS: dict[str, Callable[[DiffusionPipeline, argparse.Namespace], Figures]] = {
    "cost": measure_cost,
    "checker": measure_checker,
    "prompts": measure_prompts,
    "img2img": measure_img2img,
    "inpaint": measure_inpaint,
    "negative": measure_negative,
    "schedulers": measure_schedulers,
}


if __name__ == "__main__":
    main()
