"""Turns a scene into pixels. The checker shares nothing with this file but the words."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.scene import COLOURS, PICTURE_SIZE, Item, Scene

#: Sub-samples a side of each pixel: 8 gives 65 grey levels along an edge.
OVERSAMPLING = 8
#: Stripes lie on the picture's raster: 4 pixels of the colour, 4 of its shade.
STRIPE = 4
#: A cross's arms are this fraction of its side.
ARM = 1 / 3
#: Inner radius of a star relative to its outer one; the classic 0.38 gives points too thin to see.
STAR_WAIST = 0.45

Polygon = tuple[tuple[float, float], ...]


def draw(scene: Scene) -> NDArray[np.uint8]:
    """Return the picture as (64, 64, 3) RGB, 0-255; the last item lies at the bottom."""
    shape = (PICTURE_SIZE, PICTURE_SIZE, 3)
    picture = np.broadcast_to(np.array(COLOURS[scene.background], np.float32), shape).copy()
    for item in reversed(scene.items):
        coverage = silhouette(item.shape, item.side)
        top, left = item.y - item.side // 2, item.x - item.side // 2
        region = picture[top : top + item.side, left : left + item.side]
        region += coverage[..., None] * (_fill(item, top) - region)
    return np.round(picture).astype(np.uint8)


def as_tensor(pictures: list[NDArray[np.uint8]]) -> Tensor:
    """RGB pictures of 0-255 as the autoencoder takes them: (n, 3, 64, 64), -1 to 1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _fill(item: Item, top: int) -> NDArray[np.float32]:
    """Colours of the item's rows: (side, 1, 3)."""
    plain = np.array(COLOURS[item.colour], np.float32)
    rows = np.broadcast_to(plain, (item.side, 1, 3)).copy()
    if item.fill == "striped":
        shaded = (np.arange(top, top + item.side) // STRIPE) % 2 == 1
        rows[shaded] = _shade(plain)
    return rows


def tones(colour: str) -> list[NDArray[np.float32]]:
    """All that an item of this colour is painted with: itself and, in stripes, its shade."""
    plain = np.array(COLOURS[colour], np.float32)
    return [plain, _shade(plain)]


def _shade(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """A darker tone of the same hue; black can only become lighter."""
    if colour.max() < 40:
        return colour + 60
    return colour * np.float32(0.65)


@cache
def silhouette(shape: str, side: int) -> NDArray[np.float32]:
    """Coverage of a shape in its bounding box: (side, side), 0-1."""
    # Coordinates run from -1 to 1 across the bounding box.
    line = (np.arange(side * OVERSAMPLING) + 0.5) / (side * OVERSAMPLING) * 2 - 1
    x, y = np.meshgrid(line, line)
    covered = _covered(shape, x, y).reshape(side, OVERSAMPLING, side, OVERSAMPLING)
    coverage: NDArray[np.float32] = covered.mean(axis=(1, 3), dtype=np.float32)
    return coverage


def _covered(shape: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    if shape == "circle":
        return x**2 + y**2 <= 1
    if shape == "square":
        return np.maximum(abs(x), abs(y)) <= 0.92  # about as heavy as the circle
    if shape == "diamond":
        return abs(x) + abs(y) <= 1
    if shape == "cross":
        return (np.minimum(abs(x), abs(y)) <= ARM) & (np.maximum(abs(x), abs(y)) <= 1)
    if shape == "triangle":
        return (abs(x) <= (y + 1) / 2) & (y <= 0.9)
    return _star(x, y)


def _star(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Five points: in each tenth of the turn the edge is one straight line."""
    y = y - 0.08  # the five points fill the box better when moved down a little
    radius, angle = np.hypot(x, y), np.arctan2(x, -y)
    tenth = np.pi / 5
    turn = abs((angle + tenth) % (2 * tenth) - tenth)  # 0 at a point, pi/5 at a waist
    point, waist = 1.06, 1.06 * STAR_WAIST
    # Line through (point, angle 0) and (waist, angle pi/5), in the folded sector.
    along, across = radius * np.cos(turn), radius * np.sin(turn)
    waist_along, waist_across = waist * np.cos(tenth), waist * np.sin(tenth)
    covered: NDArray[np.bool_] = (point - along) * waist_across >= across * (point - waist_along)
    return covered
