"""Which combinations the model never sees: the ones that `bench/demo_model.py` asks for.

Two things are held out, each a fifth of its kind: (colour, shape, background) of any item, and
the unordered pair of (colour, shape) items under every relation. Held-out pairs are unordered
because "A left of B" and "B right of A" are the same picture.
"""

from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement, product
from random import Random

from training.scene import COLOURS, SHAPES, Scene, random_scene

Look = tuple[str, str]  # colour, shape
Triple = tuple[str, str, str]  # colour, shape, background
Pair = tuple[Look, Look]  # sorted

HELD_OUT_SHARE = 0.2
#: Two of three training pictures hold two items: relations need more examples than looks.
PAIR_SHARE = 0.65


@cache
def held_out_triples() -> frozenset[Triple]:
    """A fifth of all (colour, shape, background) with colour unlike background."""
    every = [t for t in product(COLOURS, SHAPES, COLOURS) if t[0] != t[2]]
    return frozenset(Random("triples").sample(every, round(len(every) * HELD_OUT_SHARE)))


@cache
def held_out_pairs() -> frozenset[Pair]:
    """A fifth of all unordered pairs of (colour, shape)."""
    looks = sorted(product(COLOURS, SHAPES))
    every = list(combinations_with_replacement(looks, 2))
    return frozenset(Random("pairs").sample(every, round(len(every) * HELD_OUT_SHARE)))


def triples_of(scene: Scene) -> set[Triple]:
    """The (colour, shape, background) of each item."""
    return {(item.colour, item.shape, scene.background) for item in scene.items}


def pair_of(scene: Scene) -> Pair | None:
    """The sorted looks of the two items; None if there is only one."""
    if len(scene.items) == 1:
        return None
    first, second = sorted((item.colour, item.shape) for item in scene.items)
    return first, second


def is_for_training(scene: Scene) -> bool:
    """True if nothing in the scene is held out."""
    return not (triples_of(scene) & held_out_triples()) and pair_of(scene) not in held_out_pairs()


def is_held_out(scene: Scene) -> bool:
    """True if the scene's combination was never trained: its triple, or with two items its pair."""
    if len(scene.items) == 1:
        return triples_of(scene) <= held_out_triples()
    return pair_of(scene) in held_out_pairs()


def training_scenes(rng: Random, *, pair_share: float = PAIR_SHARE) -> Iterator[Scene]:
    """Endless scenes without any held-out combination."""
    while True:
        item_count = 2 if rng.random() < pair_share else 1
        scene = random_scene(rng, item_count=item_count)
        while not is_for_training(scene):
            scene = random_scene(rng, item_count=item_count)
        yield scene


def held_out_scenes(rng: Random, *, item_count: int) -> Iterator[Scene]:
    """Endless scenes of held-out combinations only."""
    while True:
        scene = random_scene(rng, item_count=item_count)
        if is_held_out(scene):
            yield scene
