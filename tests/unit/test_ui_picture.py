"""Uploaded pictures, made into ones that a model takes."""

import base64
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from gradio_ui.control import controls
from gradio_ui.picture import encode_pictures, fitted
from gradio_ui.testing import CATALOGUE
from jobs.inputs import Task
from jobs.schema import input_schema

SCHEMA = input_schema(CATALOGUE.runtimes["fake"].models["small"], Task.INPAINT)


def _size(encoded: str) -> tuple[int, int]:
    with Image.open(BytesIO(base64.b64decode(encoded))) as image:
        return image.size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 64), (64, 64)),
        ((256, 128), (256, 128)),
        ((1024, 512), (256, 128)),
        ((512, 1024), (128, 256)),
        ((32, 32), (64, 64)),
        ((99, 101), (96, 104)),
        ((4000, 100), (256, 64)),
    ],
)
def test_a_picture_is_scaled_into_the_bounds_and_onto_the_grid(size, expected):
    """The shape is kept as far as the model's bounds allow."""
    known = controls(SCHEMA)
    assert fitted(size, known["width"], known["height"]) == expected


def test_a_mask_gets_the_size_of_its_image(tmp_path: Path):
    """Whatever it was: the two must lie on each other."""
    for name, size in (("image", (512, 256)), ("mask", (50, 50))):
        Image.new("RGB", size, "white").save(tmp_path / f"{name}.png")
    encoded = encode_pictures(
        SCHEMA, {"image": str(tmp_path / "image.png"), "mask_image": str(tmp_path / "mask.png")}
    )
    assert _size(encoded["image"]) == _size(encoded["mask_image"]) == (256, 128)


def test_a_picture_that_is_turned_by_a_tag_is_turned_truly(tmp_path: Path):
    """Phones save portraits lying on their side."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (128, 64)).save(tmp_path / "phone.jpg", exif=exif)
    encoded = encode_pictures(SCHEMA, {"image": str(tmp_path / "phone.jpg")})
    assert _size(encoded["image"]) == (64, 128)


def test_what_was_not_uploaded_or_is_not_wanted_is_left_out(tmp_path: Path):
    """A picture of an earlier choice of task is not sent along."""
    Image.new("RGB", (64, 64)).save(tmp_path / "image.png")
    schema = input_schema(CATALOGUE.runtimes["fake"].models["small"], Task.TEXT_TO_IMAGE)
    paths = {"image": str(tmp_path / "image.png"), "mask_image": None}
    assert encode_pictures(schema, paths) == {}
    assert [*encode_pictures(SCHEMA, paths)] == ["image"]
