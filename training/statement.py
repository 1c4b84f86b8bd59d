"""What a caption says about a scene, apart from its wording.

The same picture can be told from either item and with parts left out. A statement fixes what is
said: items in reading order (left, upper or inner one first) and None for what is unsaid. The
text encoder is first taught to find these facts in the words.
"""

from dataclasses import dataclass
from random import Random

from training.scene import COLOURS, FILLS, SHAPES, SIZES, Item, Scene, mirrored

#: Chance to leave out each property: the model must also draw what is only half described.
UNSAID = {"size": 0.4, "colour": 0.06, "shape": 0.04}
BACKGROUND_UNSAID = 0.08
RELATION_UNSAID = 0.05

#: Facts in the order of `Statement.facts`; the index in the tuple is the label, 0 means unsaid.
ITEM_FACTS: dict[str, tuple[str | None, ...]] = {
    "size": (None, *SIZES),
    "colour": (None, *COLOURS),
    "shape": (None, *SHAPES),
    "fill": (None, *FILLS),
}
#: "and" tells two items of unknown order from one item alone.
SCENE_FACTS: dict[str, tuple[str | None, ...]] = {
    "background": (None, *COLOURS),
    "relation": (None, "left of", "above", "inside", "and"),
}


@dataclass(frozen=True, kw_only=True)
class Mention:
    """What is said of one item; None is unsaid."""

    size: str | None
    colour: str | None
    shape: str | None
    fill: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is said of a scene: mentions in reading order, unless the relation is "and"."""

    mentions: tuple[Mention, ...]
    relation: str | None
    background: str | None

    def labels(self) -> list[list[int]]:
        """Index of each fact: one row for each of two items, then one for the scene."""
        rows = [[0] * len(ITEM_FACTS) for _ in range(2)]
        for row, mention in zip(rows, self.mentions, strict=False):
            for column, (fact, values) in enumerate(ITEM_FACTS.items()):
                row[column] = values.index(getattr(mention, fact))
        scene = [values.index(getattr(self, fact)) for fact, values in SCENE_FACTS.items()]
        return [*rows, scene]


def everything(scene: Scene) -> Statement:
    """Say all there is, sizes left out: "a red circle left of a striped blue star on green"."""
    mentions = tuple(_mention(item, {"size"}) for item in scene.items)
    return Statement(mentions=mentions, relation=scene.relation, background=scene.background)


def random_statement(scene: Scene, rng: Random) -> Statement:
    """Say a random part of the scene, items in reading order."""
    if scene.relation in ("right of", "below"):
        scene = mirrored(scene)
    items, relation = list(scene.items), scene.relation
    if relation is not None and rng.random() < RELATION_UNSAID:
        rng.shuffle(items)
        relation = "and"
    mentions = (_mention(i, {f for f, p in UNSAID.items() if rng.random() < p}) for i in items)
    background = None if rng.random() < BACKGROUND_UNSAID else scene.background
    return Statement(mentions=tuple(mentions), relation=relation, background=background)


def _mention(item: Item, unsaid: set[str]) -> Mention:
    return Mention(
        size=None if "size" in unsaid else item.size,
        colour=None if "colour" in unsaid else item.colour,
        shape=None if "shape" in unsaid else item.shape,
        fill=item.fill,
    )
