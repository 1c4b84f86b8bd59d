"""Words that a small model does not know are told, not swallowed."""

from pathlib import Path

from serve_app.vocabulary import Vocabulary

KNOWN = Vocabulary(("a", "circle", "red"))


def test_unknown_words_are_named_once_and_the_known_ones_listed():
    """So that the next prompt can be better."""
    assert KNOWN.warning("A red DRAGON, a red dragon and circle-2") == (
        "the model does not know dragon, and; it knows a, circle, red"
    )


def test_a_prompt_of_known_words_gets_no_warning():
    """Whatever its case and punctuation."""
    assert KNOWN.warning("Red circle, a!") is None


def test_a_model_without_a_list_takes_every_word(tmp_path: Path):
    """Which is every model of the usual size."""
    assert Vocabulary.read(tmp_path).warning("dragon") is None


def test_the_list_is_read_from_beside_the_weights(tmp_path: Path):
    """One word a line."""
    (tmp_path / "vocabulary.txt").write_text("a\ncircle\n")
    assert Vocabulary.read(tmp_path).words == ("a", "circle")
