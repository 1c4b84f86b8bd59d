"""Captions say what is true, and the tokenizer knows their words."""

from itertools import islice
from pathlib import Path
from random import Random

import pytest
from transformers import CLIPTokenizer

from training.captions import STRAY_WORDS, any_wording, full_caption, random_caption
from training.scene import Item, Scene
from training.split import training_scenes
from training.statement import Statement
from training.text_encoder import token_ids
from training.vocabulary import (
    MAX_TOKENS,
    known_words,
    learn_merges,
    piece_ids,
    vocabulary,
    write_tokenizer,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    """The tokenizer as a user loads it."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    return loaded


def two_items() -> Scene:
    """A green star above a white square on black."""
    star = Item(colour="green", shape="star", size="small", fill="plain", x=32, y=12, side=18)
    square = Item(colour="white", shape="square", size="large", fill="striped", x=32, y=44, side=28)
    return Scene(background="black", items=(star, square), relation="above")


def test_the_full_caption_is_the_plain_sentence() -> None:
    """One fixed wording, for tests and measurements."""
    expected = "a green star above a striped white square on a black background"

    assert full_caption(two_items()) == expected


def test_wordings_vary_but_keep_the_facts() -> None:
    """All colours and shapes are named in each of many wordings."""
    rng = Random(1)
    texts = {any_wording(two_items(), rng) for _ in range(100)}

    assert len(texts) > 20
    for text in texts:
        assert {"green", "star", "white", "square", "black"} <= set(text.replace(",", "").split())


def test_a_mirrored_wording_turns_the_relation() -> None:
    """The square comes first only where it is said to be below."""
    rng = Random(2)
    for text in (any_wording(two_items(), rng) for _ in range(200)):
        says_below = any(word in text.split() for word in ("below", "under", "beneath"))

        assert says_below == (text.index("square") < text.index("star"))


def test_statements_are_the_same_from_either_side() -> None:
    """Labels follow reading order, so both wordings teach the same facts."""
    scene = two_items()
    turned = Scene(background="black", items=scene.items[::-1], relation="below")
    one, other = (random_caption(s, Random(3))[1] for s in (scene, turned))

    assert isinstance(one, Statement)
    assert one == other
    assert one.labels() == other.labels()


def test_every_caption_fits_with_room_to_spare(tokenizer: CLIPTokenizer) -> None:
    """Three places at the end stay padding: the text encoder gathers the sentence there."""
    rng = Random("lengths")
    texts = [random_caption(scene, rng)[0] for scene in islice(training_scenes(rng), 2000)]

    assert max(len(ids) for ids in tokenizer(texts).input_ids) <= MAX_TOKENS - 3


def test_every_known_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    """Start, the word, end."""
    for word in known_words():
        assert len(tokenizer(word).input_ids) == 3


def test_captions_use_known_words_only(tokenizer: CLIPTokenizer) -> None:
    """All but the stray words that are there to be ignored."""
    rng = Random("words")
    told = (random_caption(scene, rng)[0] for scene in islice(training_scenes(rng), 2000))
    words = {word for text in told for word in text.replace(",", "").split()}

    assert words - set(STRAY_WORDS) <= set(known_words())
    assert not set(STRAY_WORDS) & set(known_words())


def test_an_unknown_word_becomes_meaningless_pieces(tokenizer: CLIPTokenizer) -> None:
    """Its tokens all share the vector of the unknown token."""
    ids = tokenizer("jolly", add_special_tokens=False).input_ids

    assert ids
    assert set(ids) <= set(piece_ids())


def test_prompts_are_padded_as_the_pipelines_do(tokenizer: CLIPTokenizer) -> None:
    """The tokenizer's own limit is the text encoder's."""
    assert tokenizer.model_max_length == MAX_TOKENS
    assert token_ids(tokenizer, ["a red circle", ""]).shape == (2, MAX_TOKENS)


def test_ids_are_dense_and_merges_are_repeatable() -> None:
    """The files come out the same on every machine."""
    assert sorted(vocabulary().values()) == list(range(len(vocabulary())))
    assert learn_merges(known_words()) == learn_merges(known_words())
