"""Controls as the page draws them, read from a model's JSON Schema."""

import pytest

from gradio_ui.control import controls
from gradio_ui.testing import CATALOGUE
from jobs.inputs import Task
from jobs.schema import input_schema

SMALL = CATALOGUE.runtimes["fake"].models["small"]
LARGE = CATALOGUE.runtimes["fake"].models["large"]


def test_bounds_steps_and_defaults_come_from_the_model():
    """Nothing of a model is written down on the page."""
    width = controls(input_schema(LARGE, Task.TEXT_TO_IMAGE))["width"]
    assert (width.minimum, width.maximum, width.step, width.default) == (64, 1024, 8, 512)
    images = controls(input_schema(LARGE, Task.TEXT_TO_IMAGE))["num_images_per_prompt"]
    assert (images.minimum, images.maximum, images.default) == (1, 4, 1)


def test_choices_are_found_in_place_and_behind_a_reference():
    """Schedulers stand in the field, formats in a definition."""
    known = controls(input_schema(SMALL, Task.TEXT_TO_IMAGE))
    assert known["scheduler"].choices == ("DDIMScheduler", "EulerDiscreteScheduler")
    assert known["output_format"].choices == ("png", "jpeg", "webp")
    assert known["output_format"].default == "png"


def test_an_exclusive_minimum_becomes_the_first_value_that_is_allowed():
    """A strength of 0 would be refused."""
    strength = controls(input_schema(SMALL, Task.INPAINT))["strength"]
    assert 0 < strength.minimum < 0.1
    assert strength.default == 1.0


def test_each_task_has_its_own_fields():
    """Only the tasks that start from an image have one."""
    assert "image" not in controls(input_schema(SMALL, Task.TEXT_TO_IMAGE))
    known = controls(input_schema(SMALL, Task.INPAINT))
    assert known["image"].required
    assert known["mask_image"].required


@pytest.mark.parametrize(
    ("given", "cast"),
    [(20.0, 20), ("20", 20), (20, 20), (20.5, 20.5), ("x", "x"), (str(2**63 - 1), 2**63 - 1)],
)
def test_whole_numbers_become_whole_and_the_rest_stays_for_the_api_to_refuse(given, cast):
    """A browser sends 20.0 or text, and the API is strict."""
    seed = controls(input_schema(SMALL, Task.TEXT_TO_IMAGE))["seed"]
    assert seed.cast(given) == cast
    assert type(seed.cast(given)) is type(cast)
