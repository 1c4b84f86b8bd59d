"""What a client may ask for: strict at the edge, each fault named by a JSON pointer."""

import math

import pytest
from pydantic import ValidationError

from jobs.errors import InvalidJob
from jobs.inputs import INPUTS, MAX_SEED, ImageToImage, Inpaint, OutputFormat, Task, TextToImage
from jobs.job import JobRequest, Priority
from jobs.samples import sample_request

PROMPT = {"prompt": "a lighthouse"}


def faults(body):
    """The pointers and details of what is wrong with `body`."""
    with pytest.raises(ValidationError) as refused:
        JobRequest.model_validate(body)
    return {
        fault.pointer: fault.detail for fault in InvalidJob.from_validation(refused.value).faults
    }


@pytest.mark.parametrize("task", Task)
def test_the_sample_of_each_task_is_valid(task):
    """It is what documentation, load test and other tests post."""
    request = JobRequest.model_validate(sample_request(task))
    assert type(request.input) is INPUTS[task]
    assert request.input.task == task


def test_a_changed_sample_has_the_change():
    """Every field of its input can be replaced."""
    assert sample_request(seed=9, width=128)["input"]["seed"] == 9


def test_an_input_without_a_task_is_text_to_image():
    """The shortest request is a prompt."""
    request = JobRequest.model_validate({"input": PROMPT})
    assert request.input == TextToImage(prompt="a lighthouse")
    assert (request.priority, request.deterministic) == (Priority.INTERACTIVE, False)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"input": PROMPT, "promt": 1}, "/promt"),
        ({"input": {**PROMPT, "steps": 5}}, "/input/steps"),
        ({"input": {**PROMPT, "image": "AAAA"}}, "/input/image"),
        ({"input": {**PROMPT, "a/b~c": 5}}, "/input/a~1b~0c"),
        ({"input": {**sample_request(Task.INPAINT)["input"], "mask": ""}}, "/input/mask"),
    ],
)
def test_an_unknown_field_is_refused_by_name(body, pointer):
    """A misspelt field must not be ignored; the pointer is escaped as RFC 6901 says."""
    assert list(faults(body)) == [pointer]


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"prompt": ""}, "/input/prompt"),
        ({"prompt": None}, "/input/prompt"),
        ({"prompt": 5}, "/input/prompt"),
        ({"prompt": "\ud800"}, "/input/prompt"),
        ({"prompt": "x" * 10_001}, "/input/prompt"),
        ({"width": "64"}, "/input/width"),
        ({"width": 64.5}, "/input/width"),
        ({"width": True}, "/input/width"),
        ({"height": -64}, "/input/height"),
        ({"height": 10**30}, "/input/height"),
        ({"num_inference_steps": 0}, "/input/num_inference_steps"),
        ({"guidance_scale": math.nan}, "/input/guidance_scale"),
        ({"guidance_scale": -1}, "/input/guidance_scale"),
        ({"guidance_scale": math.inf}, "/input/guidance_scale"),
        ({"seed": -1}, "/input/seed"),
        ({"seed": MAX_SEED + 1}, "/input/seed"),
        ({"seed": 1.5}, "/input/seed"),
        ({"num_images_per_prompt": 0}, "/input/num_images_per_prompt"),
        ({"num_images_per_prompt": None}, "/input/num_images_per_prompt"),
        ({"output_format": "gif"}, "/input/output_format"),
        ({"scheduler": 5}, "/input/scheduler"),
    ],
)
def test_a_value_that_no_model_takes_is_refused_where_it_stands(changed, pointer):
    """Wrong type, beyond every limit, or no number at all."""
    assert list(faults({"input": {**PROMPT, **changed}})) == [pointer]


@pytest.mark.parametrize("task", [Task.IMAGE_TO_IMAGE, Task.INPAINT])
@pytest.mark.parametrize("strength", [0, 1.01, -1, math.nan, "much"])
def test_strength_lies_between_zero_and_one(task, strength):
    """Zero would return the image itself."""
    assert list(faults(sample_request(task, strength=strength))) == ["/input/strength"]


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        (Task.TEXT_TO_IMAGE, "prompt"),
        (Task.IMAGE_TO_IMAGE, "image"),
        (Task.INPAINT, "image"),
        (Task.INPAINT, "mask_image"),
    ],
)
def test_what_a_task_needs_is_asked_for(task, missing):
    """The pointer names the field that is not there, without the union's own words."""
    body = sample_request(task)
    del body["input"][missing]
    assert list(faults(body)) == [f"/input/{missing}"]


def test_all_faults_are_told_at_once():
    """A client corrects its request in one go."""
    body = {"input": {"prompt": "", "width": 1, "bogus": 1}, "extra": 1}
    assert set(faults(body)) == {"/input/prompt", "/input/width", "/input/bogus", "/extra"}


@pytest.mark.parametrize("task", ["text-to-video", "", None, 5, ["inpaint"], {}])
def test_an_unknown_task_is_refused(task):
    """The fault says which tasks there are."""
    found = faults({"input": {**PROMPT, "task": task}})
    assert list(found) == ["/input"]


@pytest.mark.parametrize("body", [None, [], "x", 5, {}, {"input": None}, {"input": [PROMPT]}])
def test_something_else_than_a_request_is_refused(body):
    """It is a fault of the request, not an exception of ours."""
    assert len(faults(body)) == 1


@pytest.mark.parametrize("label", ["", "a/b", "../x", "a b", "ä", "x" * 129, "a\n", "a#b", 5])
def test_an_id_that_could_not_be_part_of_a_key_is_refused(label):
    """It becomes part of S3 keys and URLs."""
    assert list(faults({"id": label, "input": PROMPT})) == ["/id"]


@pytest.mark.parametrize(
    "metadata",
    [
        {str(n): "x" for n in range(17)},
        {"k": "x" * 513},
        {"k" * 65: "x"},
        {"k": 5},
        {"k": {"nested": "x"}},
        {"k": None},
        ["k"],
    ],
)
def test_metadata_is_a_few_short_strings(metadata):
    """It lies in every record and notice."""
    found = faults({"input": PROMPT, "metadata": metadata})
    assert all(pointer.startswith("/metadata") for pointer in found)


@pytest.mark.parametrize(
    "deadline",
    [
        "soon",
        "2026-11-21T10:00:00",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        -(10**18),
        10**30,
    ],
)
def test_a_deadline_is_a_moment_with_its_zone(deadline):
    """One that no clock can show would make a record that nobody can read."""
    assert list(faults({"input": PROMPT, "deadline": deadline})) == ["/deadline"]


@pytest.mark.parametrize(
    ("output_format", "media_type", "extension"),
    [("png", "image/png", "png"), ("jpeg", "image/jpeg", "jpg"), ("webp", "image/webp", "webp")],
)
def test_each_format_has_its_media_type_and_extension(output_format, media_type, extension):
    """They become the object's type and the end of its key."""
    chosen = OutputFormat(output_format)
    assert (chosen.media_type, chosen.extension) == (media_type, extension)


def test_an_input_does_not_change():
    """What was accepted is what is made."""
    wanted = ImageToImage(prompt="x", image="AAAA")
    with pytest.raises(ValidationError, match="frozen"):
        wanted.prompt = "y"
    assert Inpaint(prompt="x", image="AAAA", mask_image="AAAA").strength == 1.0


def test_the_fingerprint_is_of_what_was_asked_for():
    """Neither the id nor the order nor a default that was spelled out makes a difference."""
    plain = JobRequest.model_validate({"input": PROMPT}).fingerprint()
    spelled = {"id": "a", "metadata": {}, "input": {"task": "text-to-image", **PROMPT}}
    assert JobRequest.model_validate(spelled).fingerprint() == plain
    for other in ({"input": {**PROMPT, "seed": 1}}, {"input": PROMPT, "metadata": {"a": "b"}}):
        assert JobRequest.model_validate(other).fingerprint() != plain
