"""What a training picture shows: items, their relation, the background.

A scene knows nothing of pixels (`drawing.py`) or words (`captions.py`). Lengths are pixels
of the 64x64 picture; x grows to the right, y grows downwards.
"""

from dataclasses import dataclass, replace
from random import Random

PICTURE_SIZE = 64  # pixels a side

#: RGB, 0-255. Hues at least 20 degrees apart, so that a mean colour names its word.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 40),
    "orange": (250, 140, 20),
    "yellow": (250, 225, 50),
    "green": (30, 160, 70),
    "blue": (40, 80, 215),
    "purple": (145, 60, 190),
    "white": (250, 250, 250),
    "black": (12, 12, 12),
}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
RELATIONS = ("left of", "right of", "above", "below", "inside")
FILLS = ("plain", "striped")

#: Bounding-box sides in pixels. Centres lie on a 4-pixel grid, which is also the grid of the
#: latents: each shape of each size then has one latent pattern, wherever it stands.
SIZES: dict[str, tuple[int, ...]] = {"small": (20,), "medium": (24,), "large": (28, 36)}
#: The outer item of "inside" needs room around the inner one.
OUTER_SIZE = 44
#: A star or a cross has no room inside; a triangle of 44 pixels leaves no visible rim.
OUTER_SHAPES = ("circle", "square", "diamond")

GRID = 4  # centres lie on multiples of this many pixels
MARGIN = 2  # pixels kept free along the picture's border
GAP = 4  # pixels between two items side by side
MAX_SHIFT = 8  # pixels that two items may be out of line


@dataclass(frozen=True, kw_only=True)
class Item:
    """One shape: centre (x, y) and bounding-box side, all in pixels."""

    colour: str
    shape: str
    size: str
    fill: str
    x: int
    y: int
    side: int


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One or two items on a background; `items[0]` stands in `relation` to `items[1]`."""

    background: str
    items: tuple[Item, ...]
    relation: str | None = None


def mirrored(scene: Scene) -> Scene:
    """Tell the same picture from the other item's side; "inside" has no mirror word."""
    mirror = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    if scene.relation not in mirror:
        return scene
    return replace(scene, items=scene.items[::-1], relation=mirror[scene.relation])


def random_scene(rng: Random, *, item_count: int) -> Scene:
    """Draw the words evenly, then a placement that fits them."""
    background = rng.choice(tuple(COLOURS))
    if item_count == 1:
        return Scene(background=background, items=(_placed_alone(rng, background),))
    relation = rng.choice(RELATIONS)
    if relation == "inside":
        return _nested(rng, background)
    return _side_by_side(rng, background, relation)


def _words(rng: Random, *, but_not: tuple[str, ...]) -> dict[str, str]:
    return {
        "colour": rng.choice([c for c in COLOURS if c not in but_not]),
        "shape": rng.choice(SHAPES),
        "size": rng.choice(tuple(SIZES)),
        "fill": "striped" if rng.random() < 0.25 else "plain",
    }


def _grid_points(low: int, high: int) -> list[int]:
    return [p for p in range(0, PICTURE_SIZE + 1, GRID) if low <= p <= high]


def _inside_margin(rng: Random, side: int) -> int:
    half = side // 2
    return rng.choice(_grid_points(MARGIN + half, PICTURE_SIZE - MARGIN - half))


def _placed_alone(rng: Random, background: str) -> Item:
    words = _words(rng, but_not=(background,))
    side = rng.choice(SIZES[words["size"]])
    return Item(**words, side=side, x=_inside_margin(rng, side), y=_inside_margin(rng, side))


def _nested(rng: Random, background: str) -> Scene:
    outer = _words(rng, but_not=(background,)) | {"size": "large"}
    outer["shape"] = rng.choice(OUTER_SHAPES)
    inner = _words(rng, but_not=(outer["colour"],)) | {"size": "small"}
    x, y = _inside_margin(rng, OUTER_SIZE), _inside_margin(rng, OUTER_SIZE)
    items = (
        Item(**inner, side=SIZES["small"][0], x=x, y=y),
        Item(**outer, side=OUTER_SIZE, x=x, y=y),
    )
    return Scene(background=background, items=items, relation="inside")


def _side_by_side(rng: Random, background: str, relation: str) -> Scene:
    first, second = (_words(rng, but_not=(background,)) for _ in range(2))
    # Two large items share the picture only at the smaller of the large sides.
    sides = [SIZES[words["size"]][0] for words in (first, second)]
    near, far = _apart(rng, sides if relation in ("left of", "above") else sides[::-1])
    along = (near, far) if relation in ("left of", "above") else (far, near)
    across = _roughly_in_line(rng, sides)
    items = []
    for words, side, a, b in zip((first, second), sides, along, across, strict=True):
        x, y = (a, b) if relation in ("left of", "right of") else (b, a)
        items.append(Item(**words, side=side, x=x, y=y))
    return Scene(background=background, items=tuple(items), relation=relation)


def _apart(rng: Random, sides: list[int]) -> tuple[int, int]:
    """Centres of two neighbours along their axis, the nearer to the origin first."""
    pairs = [
        (a, b)
        for a in _grid_points(MARGIN + sides[0] // 2, PICTURE_SIZE)
        for b in _grid_points(a, PICTURE_SIZE - MARGIN - sides[1] // 2)
        if b - a >= (sides[0] + sides[1]) // 2 + GAP
    ]
    return rng.choice(pairs)


def _roughly_in_line(rng: Random, sides: list[int]) -> tuple[int, int]:
    while True:
        a, b = (_inside_margin(rng, side) for side in sides)
        if abs(a - b) <= MAX_SHIFT:
            return a, b
