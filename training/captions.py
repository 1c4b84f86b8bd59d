"""Words for a statement: several wordings of the same facts."""

from random import Random

from training.scene import Scene
from training.statement import Mention, Statement, everything, random_statement

#: Several ways to say one relation; the first is the one that `scene.RELATIONS` names.
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
    "inside": ("inside", "in", "within"),
}
OPPOSITES = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
BACKGROUND_WORDINGS = (
    "{text} on {an} {bg} background",
    "{text}, {bg} background",
    "{text} on {bg}",
)
LEADS = ("", "", "", "", "a picture of ", "an image of ", "a drawing of ", "there is ")
#: Chance of "plain" before a plain item; striped items always say so.
PLAIN_SAID = 0.1
#: Chance of one word that the vocabulary lacks, so that it changes nothing later.
STRAY_WORD = 0.05
STRAY_WORDS = ("nice", "xq", "huge", "jolly", "photo", "two", "qz", "dog", "vivid", "kvw", "my")


def full_caption(scene: Scene) -> str:
    """Say all but the sizes in the plainest wording: the prompts of tests and measurements."""
    return _worded(everything(scene), Random(0), is_plain=True)


def random_caption(scene: Scene, rng: Random) -> tuple[str, Statement]:
    """Describe the scene truly, in one of many wordings, not always completely."""
    statement = random_statement(scene, rng)
    text = _worded(statement, rng, is_plain=False)
    if rng.random() < STRAY_WORD:
        text = f"{rng.choice(STRAY_WORDS)} {text}"
    return text, statement


def any_wording(scene: Scene, rng: Random) -> str:
    """Say all but the sizes, in one of the wordings that training used."""
    return _worded(everything(scene), rng, is_plain=False)


def _worded(statement: Statement, rng: Random, *, is_plain: bool) -> str:
    lead = "" if is_plain else rng.choice(LEADS)
    phrases = [_phrase(m, not is_plain and rng.random() < PLAIN_SAID) for m in statement.mentions]
    relation = statement.relation
    if relation in OPPOSITES and not is_plain and rng.random() < 0.5:
        phrases, relation = phrases[::-1], OPPOSITES[relation]
    text = lead + phrases[0]
    if relation == "and":
        text += f" and {phrases[1]}"
    elif relation is not None:
        words = RELATION_WORDS[relation]
        verb = "is " if not is_plain and lead == "" and rng.random() < 0.15 else ""
        text += f" {verb}{words[0] if is_plain else rng.choice(words)} {phrases[1]}"
    if statement.background is None:
        return text
    an, bg = _article(statement.background), statement.background
    if not is_plain and rng.random() < 0.15:
        return f"on {an} {bg} background, {text}"
    wording = BACKGROUND_WORDINGS[0] if is_plain else rng.choice(BACKGROUND_WORDINGS)
    return wording.format(text=text, an=an, bg=bg)


def _phrase(mention: Mention, says_plain: bool) -> str:
    fill = mention.fill if mention.fill != "plain" or says_plain else None
    words = [w for w in (mention.size, fill, mention.colour, mention.shape or "shape") if w]
    return f"{_article(words[0])} {' '.join(words)}"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
