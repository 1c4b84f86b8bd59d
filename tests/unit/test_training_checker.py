"""The checker sees what was drawn, and does not see what was not."""

import subprocess
import sys
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest

from training.checker import Found, colour_name, holds, judge, look
from training.drawing import draw
from training.scene import COLOURS, SHAPES, Item, Scene
from training.split import training_scenes
from training.tally import Tally


def test_it_shares_no_code_with_what_it_judges() -> None:
    """Neither drawing nor words nor scenes come along with it."""
    told = "import sys, training.checker; print(*(n for n in sys.modules if n[:9] == 'training.'))"
    ran = subprocess.run(
        [sys.executable, "-c", told],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(ran.stdout.split()) == {"training.checker", "training.outline"}


def drawn(shape: str, *, colour: str = "red", side: int = 24) -> np.ndarray:
    """One plain item in the middle of a white (or, if it is white, blue) picture."""
    background = "blue" if colour == "white" else "white"
    item = Item(colour=colour, shape=shape, size="medium", fill="plain", x=32, y=32, side=side)
    return draw(Scene(background=background, items=(item,)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [18, 24, 28, 34])
def test_each_shape_is_recognised_in_each_size(shape: str, side: int) -> None:
    """Small ones too."""
    assert [item.shape for item in look(drawn(shape, side=side)).items] == [shape]


@pytest.mark.parametrize("colour", COLOURS)
def test_each_colour_is_named(colour: str) -> None:
    """By the mean of its flat pixels."""
    assert [item.colour for item in look(drawn("circle", colour=colour)).items] == [colour]


def test_it_is_right_on_drawn_pictures() -> None:
    """At least 99.5 % of random pictures, with every relation, size and fill."""
    scenes = list(islice(training_scenes(Random("unit")), 300))
    verdicts = [
        judge(
            look(draw(scene)),
            items=[(item.colour, item.shape) for item in scene.items],
            relation=scene.relation,
            background=scene.background,
        )
        for scene in scenes
    ]

    assert Tally.of(v.is_right and v.background for v in verdicts).share >= 0.995


def test_a_shape_it_does_not_know_is_unknown() -> None:
    """A long bar is none of the six."""
    picture = np.full((64, 64, 3), 250, np.uint8)
    picture[30:35, 6:58] = COLOURS["red"]

    assert [item.shape for item in look(picture).items] == ["unknown"]


def test_an_empty_picture_has_no_items() -> None:
    """Nothing but ground."""
    sight = look(np.full((64, 64, 3), 250, np.uint8))

    assert sight.background == "white"
    assert sight.items == ()


def test_noise_shows_nothing_that_could_pass() -> None:
    """A picture without flat regions has no items of known shape."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    assert all(item.shape == "unknown" for item in look(picture).items)


def test_one_item_too_many_is_wrong() -> None:
    """A prompt for one circle is not met by a circle and a square."""
    circle = Item(colour="red", shape="circle", size="medium", fill="plain", x=16, y=32, side=24)
    square = Item(colour="red", shape="square", size="medium", fill="plain", x=48, y=32, side=24)
    sight = look(draw(Scene(background="white", items=(circle, square), relation="left of")))

    only = judge(sight, items=[("red", "circle")], relation=None, background="white")
    both = [("red", "circle"), ("red", "square")]
    assert not only.items
    assert judge(sight, items=both, relation="left of", background="white").is_right
    assert not judge(sight, items=both, relation="right of", background="white").is_right


def test_relations_follow_the_larger_distance() -> None:
    """Two items that are mostly beside one another are not above one another."""

    def at(x: float, y: float) -> Found:
        box = (int(x) - 5, int(y) - 5, int(x) + 5, int(y) + 5)
        return Found(colour="red", shape="circle", centre=(x, y), box=box, area=80)

    assert holds("left of", at(10, 30), at(50, 36))
    assert not holds("above", at(10, 30), at(50, 36))
    assert holds("below", at(30, 50), at(28, 10))
    assert not holds("inside", at(10, 30), at(50, 30))


@pytest.mark.parametrize(
    ("rgb", "name"),
    [((143, 20, 26), "red"), ((160, 90, 15), "orange"), ((72, 72, 72), "black")],
)
def test_dark_tones_keep_their_name(rgb: tuple[int, int, int], name: str) -> None:
    """The darker stripe of an item has the item's colour."""
    assert colour_name(np.array(rgb, float)) == name


def test_intervals_are_wilsons() -> None:
    """Known values: 90 of 100, and all of 10."""
    low, high = Tally(right=90, cases=100).interval
    assert (round(low, 3), round(high, 3)) == (0.826, 0.945)
    assert round(Tally(right=10, cases=10).interval[0], 3) == 0.722
