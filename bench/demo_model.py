"""Measures `models/demo`: does the picture show what the prompt said?

`python -m bench.demo_model` prints a Markdown table with 95 % intervals and, as its last line,
one JSON object. Every prompt's combination was held out of training, but for negative prompts,
inpaint, and the edits of low strength.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random

import diffusers
import numpy as np
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from PIL import Image

from bench.demo_edits import measure_img2img, measure_inpaint
from bench.shares import Figures, difference, report
from training.checker import look
from training.drawing import draw
from training.scene import COLOURS, FILLS, RELATIONS, SHAPES, SIZES, Item, Scene
from training.split import held_out_scenes, training_scenes
from training.trial import (
    Picture,
    Trial,
    generate,
    held_out_trials,
    judge_scene,
    load,
    round_trip,
)

#: What the catalogue offers for it. PNDM is not there: 10 % right, its multistep formula does not
#: begin at (almost) pure noise.
SCHEDULERS = (
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "UniPCMultistepScheduler",
)
#: Levels of 255 between a stripe and the next, at the least: less is what the decoder leaves.
STRIPED = 40


def main() -> None:
    """Run every measurement that `--parts` names and print table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--prompts", type=int, default=500, help="half with one, half with two")
    parser.add_argument("--draw", default="", help="any word: as many other held-out prompts")
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
    figures: Figures = {"round_trip_error_of_255": difference(drawn, restored)}
    for name, pictures in (("drawn", drawn), ("round trip", restored)):
        verdicts = [judge_scene(p, s) for p, s in zip(pictures, scenes, strict=True)]
        figures |= report(f"checker, {name}", (v.is_right and v.background for v in verdicts))
    return figures


def measure_prompts(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """The heart: held-out prompts with one item, and with two and a relation."""
    figures: Figures = {}
    for item_count, label in ((1, "one item"), (2, "two items")):
        trials = held_out_trials(
            pipe, item_count=item_count, count=options.prompts // 2, draw=options.draw
        )
        verdicts = [trial.verdict for trial in trials]
        figures |= report(f"{label}, right", (v.is_right for v in verdicts))
        figures |= report(f"{label}, background", (v.background for v in verdicts))
        if item_count == 2:
            figures |= report(f"{label}, without relation", (v.items for v in verdicts))
        for kind, words in (("shape", SHAPES), ("colour", COLOURS), ("relation", RELATIONS)):
            for word in words:
                right = [t.verdict.is_right for t in trials if word in _words(t, kind)]
                if right:
                    figures |= report(f"{label}, {kind} {word}", right)
    return figures


def _words(trial: Trial, kind: str) -> set[str | None]:
    if kind == "relation":
        return {trial.scene.relation}
    return {getattr(item, kind) for item in trial.scene.items}


def measure_looks(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """Sizes and fills, which the verdict leaves out: held-out prompts with one item, each word."""
    figures: Figures = {}
    scenes = list(islice(held_out_scenes(Random("looks"), item_count=1), options.cases))
    for words in (*SIZES, *FILLS):
        prompts = [_described(scene, words.replace("plain", "")) for scene in scenes]
        shapes = [scene.items[0].shape for scene in scenes]
        made = zip(generate(pipe, prompts), shapes, strict=True)
        figures |= report(f"one item, {words}", [looks(p, shape, words) for p, shape in made])
    return figures


def _described(scene: Scene, word: str) -> str:
    (item,) = scene.items
    words = " ".join(filter(None, (word, item.colour, item.shape)))
    return f"{_with_article(words)} on {_with_article(scene.background)} background"


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def looks(picture: Picture, shape: str, word: str) -> bool:
    """Whether the largest item is as large, or filled, as the word says."""
    seen = look(picture).items
    if not seen:
        return False
    left, top, right, bottom = seen[0].box
    if word in SIZES:
        found = max(right - left, bottom - top)
        return word == min(SIZES, key=lambda size: min(abs(found - n) for n in _sides(shape, size)))
    middle = (left + right) // 2
    # Rows of the inner half: what lies beyond may be the background.
    inner = slice(top + (bottom - top) // 4, bottom - (bottom - top) // 4)
    levels = picture[inner, middle - 1 : middle + 2].max(-1).mean(1)
    return (levels.max() - levels.min() >= STRIPED) == (word == "striped")


@cache
def _sides(shape: str, size: str) -> list[int]:
    """The longer sides of a shape's box in a size, as drawn: not each shape fills its box."""
    found = []
    for side in SIZES[size]:
        item = Item(colour="red", shape=shape, size=size, fill="plain", x=32, y=32, side=side)
        left, top, right, bottom = look(draw(Scene(background="white", items=(item,)))).items[0].box
        found.append(max(right - left, bottom - top))
    return found


def measure_negative(pipe: DiffusionPipeline, options: argparse.Namespace) -> Figures:
    """How often an unsaid colour appears, with and without that colour as negative prompt."""
    prompts = [f"a {SHAPES[i % 6]} on a white background" for i in range(2 * options.cases)]
    figures: Figures = {}
    free = _colours(generate(pipe, prompts))
    for colour in ("red", "blue"):
        negatives = {"negative_prompt": [f"a {colour} shape" for _ in prompts]}
        against = _colours(generate(pipe, prompts, per_prompt=negatives))
        for label, seen in (("no", free), (f'"a {colour} shape"', against)):
            figures |= report(f"{colour} appears, {label} negative", (colour in s for s in seen))
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
        figures |= report(f"{name}, one item", (t.verdict.is_right for t in trials))
    pipe.scheduler = own
    return figures


#: Peak resident memory when everything is imported and nothing is loaded, in MiB.
IMPORTS_MB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

PARTS: dict[str, Callable[[DiffusionPipeline, argparse.Namespace], Figures]] = {
    "cost": measure_cost,
    "checker": measure_checker,
    "prompts": measure_prompts,
    "looks": measure_looks,
    "img2img": measure_img2img,
    "inpaint": measure_inpaint,
    "negative": measure_negative,
    "schedulers": measure_schedulers,
}


if __name__ == "__main__":
    main()
