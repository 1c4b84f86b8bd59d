"""Templates: placeholders become data."""

import pytest

from darkroom.cluster.errors import NotRenderable
from darkroom.cluster.template import fill, filled, written


def test_a_whole_placeholder_keeps_its_type():
    """A number stays a number, a list a list."""
    values = {"n": 5, "deep": {"l": [1, 2]}}
    assert fill({"a": "${n}", "b": "${deep.l}"}, values) == {"a": 5, "b": [1, 2]}


def test_a_placeholder_within_a_text_becomes_text():
    """In keys as well."""
    assert fill({"x-${n}": "${n} of ${n}"}, {"n": 5}) == {"x-5": "5 of 5"}


def test_a_list_is_spliced_into_a_list():
    """Beside what stands there anyway; nothing is spliced out of a literal list."""
    assert fill(["${l}", "z", ["y"]], {"l": ["a", "b"]}) == ["a", "b", "z", ["y"]]


def test_what_is_none_is_left_out():
    """With its key, or with its place in a list."""
    assert fill({"a": "${no}", "b": ["${no}", 1]}, {"no": None}) == {"b": [1]}


def test_a_value_cannot_break_out_of_its_place():
    """What looks like YAML in a value is text."""
    evil = 'x"\nspec: {hostNetwork: true}'
    assert fill({"name": "${v}"}, {"v": evil}) == {"name": evil}


def test_an_unknown_name_is_named(tmp_path):
    """With the file that it is in."""
    path = tmp_path / "some.yaml"
    path.write_text("a: ${b.c}\n")
    with pytest.raises(NotRenderable, match=r"some\.yaml.*b\.c"):
        filled(path, {"b": {}})


def test_kubernetes_own_variables_are_left_alone():
    """Those with round brackets are filled in by the kubelet."""
    assert fill("darkroom/$(DARKROOM_RUNTIME)", {}) == "darkroom/$(DARKROOM_RUNTIME)"


def test_lines_are_written_as_lines():
    """So that a diff of serveConfigV2 can be read."""
    assert written([{"a": "one\ntwo\n"}]) == "---\na: |\n  one\n  two\n"
