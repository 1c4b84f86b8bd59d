"""What the demo model's bench says of sizes and fills, on pictures whose truth is known."""

import pytest

from bench.demo_model import looks
from training.drawing import draw
from training.scene import FILLS, SHAPES, SIZES, Item, Scene


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("colour", ["blue", "black", "yellow"])
def test_each_size_and_fill_is_seen_as_what_it_is(shape: str, fill: str, colour: str) -> None:
    """And as nothing else."""
    for size, sides in SIZES.items():
        for side in sides:
            item = Item(colour=colour, shape=shape, size=size, fill=fill, x=32, y=32, side=side)
            picture = draw(Scene(background="white", items=(item,)))
            assert {word for word in SIZES if looks(picture, shape, word)} == {size}
            assert {word for word in FILLS if looks(picture, shape, word)} == {fill}
