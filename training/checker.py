"""Says what a picture shows, from its pixels alone.

Written independently of `drawing.py`: flat regions give the colours, connected components the
items, moments of their outline (`outline.py`) the shapes. No neural net, nothing but NumPy.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.outline import shape_of

Mask = NDArray[np.bool_]

NAMES = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black", "grey")
#: Upper ends of the hue ranges in degrees; what lies beyond the last is red again.
HUE_ENDS = (
    ("red", 15.0),
    ("orange", 42.0),
    ("yellow", 75.0),
    ("green", 180.0),
    ("blue", 255.0),
    ("purple", 325.0),
    ("red", 360.0),
)
#: A pixel is flat if no channel varies by more than this (of 255) over its 3x3 neighbourhood.
FLAT_RANGE = 70
#: A colour needs this many flat pixels; a 16-pixel cross has about 30, an outline none.
MIN_FLAT_PIXELS = 5
MIN_ITEM_PIXELS = 35
#: Tones of one colour name further apart than this (RGB distance) are kept as two: stripes.
TONE_DISTANCE = 45.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """One item in a picture; the box is left, top, right, bottom in pixels, ends excluded."""

    colour: str
    shape: str
    centre: tuple[float, float]
    box: tuple[int, int, int, int]
    area: int


@dataclass(frozen=True, kw_only=True)
class Sight:
    """All that was seen: largest item first."""

    background: str
    items: tuple[Found, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What of a prompt a picture shows."""

    background: bool
    items: bool
    relation: bool

    @property
    def is_right(self) -> bool:
        """True if every item has its colour and shape and the items stand as told."""
        return self.items and self.relation


def look(picture: NDArray[np.uint8]) -> Sight:
    """Find background and items in a (height, width, 3) RGB picture, 0-255."""
    pixels = picture.astype(np.float64)
    distances = _tone_distances(pixels)
    names = distances.argmin(0)
    border = np.concatenate([names[:2].ravel(), names[-2:].ravel(), names[:, :2].ravel()])
    border = np.concatenate([border, names[:, -2:].ravel()])
    background = int(np.bincount(border, minlength=len(NAMES)).argmax())
    flat = _flat(pixels)
    items = []
    for name in np.unique(names):
        for part in _components(names == name):
            is_ground = name == background and _touches_border(part)
            if not is_ground and part.sum() >= MIN_ITEM_PIXELS and (part & flat).sum() >= 4:
                items.append(_found(part, int(name), distances))
    items.sort(key=lambda item: -item.area)
    return Sight(background=NAMES[background], items=tuple(items))


def judge(
    sight: Sight, *, items: list[tuple[str, str]], relation: str | None, background: str
) -> Verdict:
    """Compare with a prompt's (colour, shape) items; one too many is as wrong as one missing."""
    seen = [(item.colour, item.shape) for item in sight.items]
    items_right = sorted(seen) == sorted(items)
    relation_right = relation is None
    if relation is not None and items_right:
        first, second = sight.items
        orders = [o for o in ((first, second), (second, first)) if _looks(o) == items]
        relation_right = any(holds(relation, one, other) for one, other in orders)
    return Verdict(
        background=sight.background == background, items=items_right, relation=relation_right
    )


def holds(relation: str, one: Found, other: Found) -> bool:
    """True if `one` stands in `relation` to `other`."""
    dx, dy = one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]
    if relation == "inside":
        (left, top, right, bottom), outer = one.box, other.box
        return outer[0] <= left and outer[1] <= top and right <= outer[2] and bottom <= outer[3]
    towards = {"left of": -dx, "right of": dx, "above": -dy, "below": dy}[relation]
    return towards > 0 and towards >= min(abs(dx), abs(dy)) and towards == max(abs(dx), abs(dy))


def colour_name(rgb: NDArray[np.float64]) -> str:
    """Name one colour, 0-255: by lightness if it is pale or dark, else by hue."""
    high, low = float(rgb.max()), float(rgb.min())
    chroma = high - low
    if high < 45 or (chroma < 32 and high < 105):
        return "black"
    if chroma < 0.2 * high:
        return "white" if high > 140 else "grey"
    red, green, blue = (float(v) for v in rgb)
    if high == red:
        hue = 60 * ((green - blue) / chroma) % 360
    elif high == green:
        hue = 60 * ((blue - red) / chroma + 2)
    else:
        hue = 60 * ((red - green) / chroma + 4)
    return next(name for name, end in HUE_ENDS if hue <= end)


def _looks(pair: tuple[Found, Found]) -> list[tuple[str, str]]:
    return [(item.colour, item.shape) for item in pair]


def _neighbourhood(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 3x3 neighbours of each pixel: (9, height, width, 3)."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = values.shape[:2]
    return np.stack([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)])


def _flat(pixels: NDArray[np.float64]) -> Mask:
    around = _neighbourhood(pixels)
    flat: Mask = (around.max(0) - around.min(0)).max(-1) <= FLAT_RANGE
    return flat


def _tone_distances(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGB distance of each pixel to the nearest tone of each name: (names, height, width).

    The tones come from flat regions only. Pixels along an outline mix two colours and may look
    like a third, so they have no say in which colours there are; they only join the nearer side.
    """
    flat = pixels[_flat(pixels)]
    distances = np.full((len(NAMES), *pixels.shape[:2]), np.inf)
    for tone in _distinct(flat if len(flat) else pixels.reshape(-1, 3)):
        name = NAMES.index(colour_name(tone))
        far = np.sqrt(((pixels - tone) ** 2).sum(-1))
        distances[name] = np.minimum(distances[name], far)
    return distances


def _distinct(colours: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Mean colours of the groups that lie within TONE_DISTANCE of a common member."""
    tones = []
    rest = colours
    while len(rest) >= MIN_FLAT_PIXELS:
        coarse = (rest // 24).astype(np.int64)
        _, where, counts = np.unique(coarse, axis=0, return_inverse=True, return_counts=True)
        seed = rest[where.ravel() == counts.argmax()].mean(0)
        near = ((rest - seed) ** 2).sum(-1) <= TONE_DISTANCE**2
        if near.sum() >= MIN_FLAT_PIXELS:
            tones.append(rest[near].mean(0))
        rest = rest[~near]
    return tones or [colours.mean(0)]


def _components(mask: Mask) -> list[Mask]:
    """Split a mask into its 4-connected parts."""
    parts = []
    todo = mask.copy()
    while todo.any():
        start = tuple(int(v) for v in np.argwhere(todo)[0])
        parts.append(_flooded(todo, [(start[0], start[1])]))
        todo &= ~parts[-1]
    return parts


def _flooded(free: Mask, starts: list[tuple[int, int]]) -> Mask:
    """All pixels of `free` that a path leads to from `starts`."""
    reached = np.zeros_like(free)
    queue = deque(p for p in starts if free[p])
    for point in queue:
        reached[point] = True
    while queue:
        y, x = queue.popleft()
        for point in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= point[0] < free.shape[0] and 0 <= point[1] < free.shape[1]
            if inside and free[point] and not reached[point]:
                reached[point] = True
                queue.append(point)
    return reached


def _touches_border(mask: Mask) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _filled(mask: Mask) -> Mask:
    """Close the holes: an item inside belongs to the outer item's outline."""
    padded = np.pad(mask, 1)
    outside = _flooded(~padded, [(0, 0)])
    return ~outside[1:-1, 1:-1]


def _found(part: Mask, name: int, distances: NDArray[np.float64]) -> Found:
    outline = _filled(part)
    rows, columns = np.nonzero(outline)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return Found(
        colour=NAMES[name],
        shape=shape_of(_coverage(outline, name, distances)),
        centre=(float(columns.mean()), float(rows.mean())),
        box=(int(left), int(top), int(right), int(bottom)),
        area=int(outline.sum()),
    )


def _coverage(outline: Mask, name: int, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each pixel the item covers, 0-1: small shapes need more than whole pixels.

    A pixel of the outline that is a mixture of item and ground lies between their tones, and the
    distances to both tell how far.
    """
    grown, kept = _grown(outline), ~_grown(~outline)
    # One pixel further out: the outline's own mixtures may look like some third item's tone.
    ring = _grown(grown) & ~grown
    if not ring.any():
        return outline.astype(np.float64)
    around = np.bincount(distances[:, ring].argmin(0), minlength=len(NAMES))
    around[name] = 0
    to_item, to_ground = distances[name], distances[around.argmax()]
    share = to_ground / np.maximum(to_item + to_ground, 1e-6)
    return np.where(kept, 1.0, np.where(grown & np.isfinite(to_ground), share, 0.0))


def _grown(mask: Mask) -> Mask:
    """The mask and its 4-connected neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
