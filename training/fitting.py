"""Which drawing a picture comes nearest to, when its prompt is known.

A prompt leaves places and sizes free, so a picture made from it has no truth to be compared with
until they are found: first guesses come from the pixels of each item's colour, and are improved
one step at a time while the drawing of the guess comes nearer to the picture.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.drawing import draw, tones
from training.scene import GRID, MARGIN, OUTER_SIZE, PICTURE_SIZE, SIZES, Item, Scene

Picture = NDArray[np.uint8]

SIDES = (*(side for sides in SIZES.values() for side in sides), OUTER_SIZE)
#: An item that fewer pixels show is not there.
MIN_PIXELS = 25
#: Mean difference of 255 beyond which the picture shows something else.
MAX_ERROR = 10.0


def fitted(scene: Scene, picture: Picture) -> Scene | None:
    """The scene with places and sides as the picture shows them; None if it shows another."""
    guess = _guess(scene, picture)
    if guess is None:
        return None
    error = _error(guess, picture)
    while True:
        tried = [(_error(near, picture), near) for near in _neighbours(guess)]
        least, nearest = min(tried, key=lambda pair: pair[0])
        if least >= error:
            return guess if error <= MAX_ERROR else None
        error, guess = least, nearest


def _error(scene: Scene, picture: Picture) -> float:
    return float(np.abs(draw(scene).astype(np.int16) - picture).mean())


def _guess(scene: Scene, picture: Picture) -> Scene | None:
    """Places and sides from the pixels of each colour; None if two things share one."""
    colours = [scene.background, *(item.colour for item in scene.items)]
    if len(set(colours)) < len(colours):
        return None
    distances = [
        np.min([((picture - tone) ** 2).sum(-1) for tone in tones(colour)], axis=0)
        for colour in colours
    ]
    owner = np.argmin(distances, axis=0)
    items = []
    for number, item in enumerate(scene.items, start=1):
        rows, columns = np.nonzero(_without_outline(owner == number))
        if len(rows) < MIN_PIXELS:
            return None
        top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
        seen = max(bottom - top, right - left) + 3
        side = min(SIDES, key=lambda side: abs(side - seen))
        items.append(_moved(item, x=(left + right + 1) / 2, y=(top + bottom + 1) / 2, side=side))
    return replace(scene, items=tuple(items))


def _without_outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels whose four neighbours belong too: where two colours meet a third may appear."""
    kept = mask.copy()
    kept[1:] &= mask[:-1]
    kept[:-1] &= mask[1:]
    kept[:, 1:] &= mask[:, :-1]
    kept[:, :-1] &= mask[:, 1:]
    return kept


def _moved(item: Item, *, x: float, y: float, side: int) -> Item:
    """The item at the nearest place of the grid where it fits into the picture."""
    low = -(-(MARGIN + side // 2) // GRID) * GRID
    places = range(low, PICTURE_SIZE - low + 1, GRID)
    near_x, near_y = (min(places, key=lambda place: abs(place - wanted)) for wanted in (x, y))
    return replace(item, x=near_x, y=near_y, side=side)


def _neighbours(scene: Scene) -> Iterator[Scene]:
    """One item one place further, or a size larger or smaller."""
    for number, item in enumerate(scene.items):
        around = [item.x + step * GRID for step in (-1, 1)]
        moves = [(x, item.y, item.side) for x in around]
        moves += [(item.x, item.y + step * GRID, item.side) for step in (-1, 1)]
        size = SIDES.index(item.side)
        moves += [(item.x, item.y, side) for side in SIDES[max(0, size - 1) : size + 2]]
        for x, y, side in moves:
            items = list(scene.items)
            items[number] = _moved(item, x=x, y=y, side=side)
            yield replace(scene, items=tuple(items))
