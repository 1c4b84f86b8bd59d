"""What the page posts."""

from gradio_ui.request import job_request
from gradio_ui.testing import CATALOGUE
from jobs.job import JobRequest
from jobs.schema import parameters
from jobs.view import ModelView

MODEL = CATALOGUE.runtimes["fake"].models["small"]
VIEW = ModelView(
    id="small",
    runtime="fake",
    default=True,
    tasks=tuple(MODEL.tasks),
    parameters=parameters(MODEL),
)
VALUES = {
    "prompt": "a tree",
    "negative_prompt": "",
    "width": 64.0,
    "height": 128,
    "num_inference_steps": 20,
    "guidance_scale": 5,
    "strength": 0.5,
    "seed": None,
    "scheduler": "",
    "output_format": "png",
}


def test_the_form_becomes_a_request_that_the_api_takes():
    """Empty fields are left out, numbers are whole, the model is named with its runtime."""
    request = job_request(VIEW, "text-to-image", VALUES)
    assert request == {
        "runtime": "fake",
        "model": "small",
        "input": {
            "task": "text-to-image",
            "prompt": "a tree",
            "width": 64,
            "height": 128,
            "num_inference_steps": 20,
            "guidance_scale": 5,
            "output_format": "png",
        },
    }
    JobRequest.model_validate(request)


def test_a_task_that_starts_from_an_image_sends_no_size():
    """The image has one; strength is sent where it means something."""
    wanted = job_request(VIEW, "image-to-image", VALUES)["input"]
    assert "width" not in wanted
    assert "height" not in wanted
    assert wanted["strength"] == 0.5


def test_an_empty_prompt_is_sent_so_that_the_api_says_what_is_wrong():
    """The page has no rules of its own."""
    assert job_request(VIEW, "text-to-image", {**VALUES, "prompt": ""})["input"]["prompt"] == ""
