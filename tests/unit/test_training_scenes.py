"""Scenes, their drawings, and what is held out of training."""

from itertools import islice
from random import Random

import numpy as np
import pytest

from training.drawing import draw, silhouette
from training.scene import (
    COLOURS,
    MARGIN,
    PICTURE_SIZE,
    RELATIONS,
    SHAPES,
    Item,
    Scene,
    mirrored,
    random_scene,
)
from training.split import (
    held_out_pairs,
    held_out_scenes,
    held_out_triples,
    is_for_training,
    pair_of,
    training_scenes,
    triples_of,
)


def scenes(count: int) -> list[Scene]:
    """Scenes with one and with two items in turn."""
    rng = Random("tests")
    return [random_scene(rng, item_count=1 + i % 2) for i in range(count)]


def test_every_item_lies_inside_the_picture() -> None:
    """No shape is cut off by the border."""
    for scene in scenes(400):
        for item in scene.items:
            ends = [item.x - item.side // 2, item.y - item.side // 2]
            ends += [PICTURE_SIZE - item.x - item.side // 2, PICTURE_SIZE - item.y - item.side // 2]

            assert min(ends) >= MARGIN


def test_items_side_by_side_do_not_touch() -> None:
    """Pictures of two items and no "inside" have room between the bounding boxes."""
    for scene in scenes(400):
        if scene.relation in ("left of", "right of", "above", "below"):
            one, other = scene.items
            room = (one.side + other.side) // 2

            assert max(abs(one.x - other.x), abs(one.y - other.y)) > room


def test_no_item_has_the_colour_of_its_ground() -> None:
    """Otherwise it would be described but not seen."""
    for scene in scenes(400):
        if scene.relation == "inside":
            inner, outer = scene.items
            assert inner.colour != outer.colour != scene.background
        else:
            assert scene.background not in {item.colour for item in scene.items}


def test_mirroring_twice_gives_the_same_scene() -> None:
    """ "A left of B" is "B right of A", and back."""
    for scene in scenes(100):
        assert mirrored(mirrored(scene)) == scene


def test_a_drawing_has_the_colours_of_its_words() -> None:
    """The centre pixel is the item's, the corner the background's."""
    item = Item(colour="red", shape="circle", size="large", fill="plain", x=32, y=32, side=28)
    picture = draw(Scene(background="blue", items=(item,)))

    assert picture.shape == (PICTURE_SIZE, PICTURE_SIZE, 3)
    assert tuple(picture[32, 32]) == COLOURS["red"]
    assert tuple(picture[0, 0]) == COLOURS["blue"]


def test_stripes_have_two_tones() -> None:
    """A striped item shows its colour and a shade of it."""
    item = Item(colour="green", shape="square", size="large", fill="striped", x=32, y=32, side=32)
    column = draw(Scene(background="white", items=(item,)))[20:44, 32]

    assert len(np.unique(column, axis=0)) == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_reaches_across_its_box(shape: str) -> None:
    """Covers its centre, keeps a plausible weight and touches nothing beyond its box."""
    coverage = silhouette(shape, 32)

    assert coverage[16, 16] == 1
    assert 0.25 < coverage.mean() < 0.95


def test_held_out_combinations_never_appear_in_training() -> None:
    """Neither (colour, shape, background) nor the pair of looks, over many training scenes."""
    seen = list(islice(training_scenes(Random("disjoint")), 20_000))
    triples = set().union(*(triples_of(scene) for scene in seen))
    pairs = {pair_of(scene) for scene in seen}

    assert not triples & held_out_triples()
    assert not pairs & held_out_pairs()


def test_held_out_prompts_ask_only_for_what_was_held_out() -> None:
    """The measured scenes are all rejected by the training filter."""
    for item_count in (1, 2):
        for scene in islice(held_out_scenes(Random("bench"), item_count=item_count), 300):
            assert not is_for_training(scene)


def test_a_fifth_is_held_out() -> None:
    """Of each kind of combination, and with every colour, shape and relation among it."""
    assert len(held_out_triples()) == 67
    assert len(held_out_pairs()) == 235
    assert {triple[0] for triple in held_out_triples()} == set(COLOURS)
    assert {triple[1] for triple in held_out_triples()} == set(SHAPES)
    relations = {s.relation for s in islice(held_out_scenes(Random(1), item_count=2), 200)}
    assert relations == set(RELATIONS)


def test_the_same_seed_gives_the_same_scenes() -> None:
    """A resumed run goes on with the pictures of an uninterrupted one."""
    one, other = (list(islice(training_scenes(Random("seed")), 50)) for _ in range(2))

    assert one == other
