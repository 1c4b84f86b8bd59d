"""A scene fitted to a picture: the training's truth for pictures that were made from words."""

from dataclasses import replace
from itertools import islice
from random import Random

import numpy as np
import pytest

from training.drawing import draw
from training.fitting import fitted
from training.scene import Item, Scene, random_scene
from training.split import training_scenes


def _distinct(scene: Scene) -> bool:
    return len({scene.background, *(item.colour for item in scene.items)}) == 1 + len(scene.items)


def test_a_drawing_is_found_again_when_only_its_words_are_known() -> None:
    """Places and sides come from the pixels, whatever the scene's own were."""
    rng = Random(3)
    scenes = [s for s in islice(training_scenes(rng), 40) if _distinct(s)]
    assert len(scenes) > 20
    for scene in scenes:
        moved = [replace(item, x=32, y=32, side=20) for item in scene.items]
        found = fitted(replace(scene, items=tuple(moved)), draw(scene))
        assert found is not None
        assert [(i.x, i.y, i.side) for i in found.items] == [
            (i.x, i.y, i.side) for i in scene.items
        ]


def test_soft_outlines_do_not_mislead_it() -> None:
    """What a denoiser leaves is blurred, and rounded where it should be sharp."""
    scene = next(s for s in training_scenes(Random(5), pair_share=1) if _distinct(s))
    sharp = draw(scene).astype(float)
    soft = sum(np.roll(sharp, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
    found = fitted(scene, soft.astype(np.uint8))
    assert found is not None
    assert [(i.x, i.y) for i in found.items] == [(i.x, i.y) for i in scene.items]


def test_a_picture_of_something_else_has_no_truth() -> None:
    """Another background, or an item that is missing."""
    item = Item(colour="red", shape="star", size="small", fill="plain", x=32, y=32, side=20)
    scene = Scene(background="blue", items=(item,))
    assert fitted(scene, draw(replace(scene, background="white"))) is None
    assert fitted(scene, np.full((64, 64, 3), draw(scene)[0, 0], np.uint8)) is None


@pytest.mark.parametrize("count", [1, 2])
def test_what_it_finds_can_be_drawn(count: int) -> None:
    """However wrong the first guess, every item stays within the picture."""
    rng = Random(7)
    fitting = 0
    for _ in range(20):
        scene, other = (random_scene(rng, item_count=count) for _ in range(2))
        colours = zip(scene.items, other.items, strict=True)
        items = tuple(replace(b, colour=a.colour, shape=a.shape) for a, b in colours)
        found = fitted(scene, draw(Scene(background=scene.background, items=items)))
        if found is not None:
            fitting += 1
            assert draw(found).shape == (64, 64, 3)
    assert fitting > 10
