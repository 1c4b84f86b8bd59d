"""From request to job: routed, filled in, within its model's limits."""

import base64
import io
from datetime import UTC, datetime

import pytest
from PIL import Image
from pydantic import ValidationError

from jobs.catalogue import Catalogue
from jobs.errors import InvalidCatalogue, InvalidJob, UnknownModel, UnknownRuntime
from jobs.inputs import Task
from jobs.job import Family, Job, JobRequest
from jobs.samples import sample_png, sample_request
from jobs.uid import new_uid

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def make(catalogue: Catalogue):
    """A function that makes the job of a request body."""

    def made(body, **more):
        return Job.of_request(
            JobRequest.model_validate(body),
            **{
                "uid": new_uid(),
                "tenant": "acme",
                "family": Family.V1,
                "catalogue": catalogue,
                "now": NOW,
                **more,
            },
        )

    return made


def test_a_job_gets_its_models_defaults_where_the_request_is_silent(make):
    """What was said stays as it was said."""
    job = make({"input": {"prompt": "x", "width": 128}})
    assert (job.input.width, job.input.height) == (128, 64)
    assert (job.input.num_inference_steps, job.input.guidance_scale) == (20, 5.0)
    assert job.input.scheduler is None


@pytest.mark.parametrize("task", [Task.IMAGE_TO_IMAGE, Task.INPAINT])
def test_an_image_sets_the_size_itself(make, task):
    """A default size would stretch it."""
    job = make(sample_request(task))
    assert (job.input.width, job.input.height) == (None, None)
    assert job.input.guidance_scale == 5.0


def test_zero_is_a_wish_and_no_silence(make):
    """A guidance scale of 0 is not replaced by the default."""
    assert make({"input": {"prompt": "x", "guidance_scale": 0}}).input.guidance_scale == 0


def test_a_job_without_an_id_is_called_by_its_uid(make):
    """Its keys and its notice need a name."""
    uid = new_uid()
    assert make(sample_request(), uid=uid).id == uid
    assert make({**sample_request(), "id": "order-7"}, uid=uid).id == "order-7"


def test_a_job_belongs_to_its_tenant(make):
    """Tenant, time and trace come from outside the request."""
    job = make(sample_request(), tenant="acme", trace="t")
    assert (job.tenant, job.prefix, job.trace, job.created_at) == ("acme", "acme", "t", NOW)


@pytest.mark.parametrize(
    ("wish", "routed"),
    [
        ({}, ("demo", "tiny")),
        ({"runtime": "demo"}, ("demo", "tiny")),
        ({"runtime": "other"}, ("other", "second")),
        ({"model": "large"}, ("demo", "large")),
        ({"model": "third"}, ("other", "third")),
        ({"runtime": "other", "model": "third"}, ("other", "third")),
    ],
)
def test_a_job_goes_to_the_runtime_that_has_its_model(make, wish, routed):
    """Without a wish to the first, and its default; a model alone finds its runtime."""
    job = make(sample_request() | wish)
    assert (job.runtime, job.model) == routed


@pytest.mark.parametrize(
    ("wish", "error", "pointer", "listed"),
    [
        ({"runtime": "nowhere"}, UnknownRuntime, "/runtime", "demo, other"),
        ({"model": "nothing"}, UnknownModel, "/model", "large, second, third, tiny"),
        ({"runtime": "demo", "model": "third"}, UnknownModel, "/model", "large, tiny"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(make, wish, error, pointer, listed):
    """A typing error is corrected without looking anything up."""
    with pytest.raises(error) as refused:
        make(sample_request() | wish)
    [fault] = refused.value.faults
    assert (fault.pointer, fault.detail) == (pointer, f"must be one of {listed}")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"width": 72, "height": 56}, "/input/height"),
        ({"width": 65}, "/input/width"),
        ({"width": 264}, "/input/width"),
        ({"width": 256, "height": 256}, "/input/width"),
        ({"width": 10_000, "height": 10_000}, "/input/height"),
        ({"num_inference_steps": 51}, "/input/num_inference_steps"),
        ({"guidance_scale": 30.5}, "/input/guidance_scale"),
        ({"num_images_per_prompt": 9}, "/input/num_images_per_prompt"),
        ({"prompt": "x" * 2001}, "/input/prompt"),
        ({"negative_prompt": "x" * 2001}, "/input/negative_prompt"),
        ({"scheduler": "DDIMScheduler"}, "/input/scheduler"),
        ({"scheduler": ""}, "/input/scheduler"),
    ],
)
def test_what_a_model_does_not_allow_is_refused_where_it_stands(make, changed, pointer):
    """Before anything is published."""
    with pytest.raises(InvalidJob) as refused:
        make({"input": {"prompt": "x", **changed}})
    assert pointer in {fault.pointer for fault in refused.value.faults}


@pytest.mark.parametrize(
    "changed",
    [
        {"width": 256, "height": 128},
        {"num_inference_steps": 50},
        {"guidance_scale": 30},
        {"num_images_per_prompt": 8},
        {"prompt": "x" * 2000},
        {"scheduler": "EulerDiscreteScheduler"},
    ],
)
def test_what_a_model_just_allows_is_accepted(make, changed):
    """The limit itself is within."""
    job = make({"input": {"prompt": "x", **changed}})
    assert changed.items() <= job.input.model_dump().items()


def test_a_width_alone_is_judged_with_the_default_height(make):
    """The area is what the model will have to do."""
    with pytest.raises(InvalidJob, match="the most is 32768"):
        make({"model": "large", "input": {"prompt": "x", "width": 256}})


def test_a_task_that_a_model_does_not_do_is_refused(make):
    """The fault says which it does."""
    with pytest.raises(InvalidJob, match="/input/task: this model does text-to-image"):
        make(sample_request(Task.IMAGE_TO_IMAGE) | {"model": "large"})


def test_a_callback_is_kept_as_it_was_written(make):
    """It may hold a token, to the letter."""
    url = "https://Example.org/hook?token=a%2Fb"
    assert make({**sample_request(), "callback": url}).callback == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "example.org",
        "https://",
        "https://user:secret@example.org/",
        "https://example.org:8443/",
        "https://example.org/" + "x" * 2048,
        "",
        5,
    ],
)
def test_a_callback_that_would_never_be_called_is_refused(url):
    """A client that waits for a call would wait for ever."""
    with pytest.raises(ValidationError, match="callback"):
        JobRequest.model_validate({**sample_request(), "callback": url})


def test_the_seed_of_a_job_without_one_is_its_uids(make):
    """The same on every attempt, and another for every job."""
    uid = new_uid()
    one, two = make({"input": {"prompt": "x"}}, uid=uid), make({"input": {"prompt": "x"}})
    assert one.seed == make({"input": {"prompt": "y"}}, uid=uid).seed
    assert one.seed != two.seed
    assert make({"input": {"prompt": "x", "seed": 0}}).seed == 0


MODEL = """
runtimes:
  demo:
    models:
      tiny:
        path: p
        defaults: {width: 64, height: 64, num_inference_steps: 20, guidance_scale: 5.0}
        limits: {max_side: 256, max_pixels: 65536}
"""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("runtimes: {", "not YAML"),
        ("", "runtimes.yaml"),
        ("runtimes: {}", "/runtimes"),
        ("runtimes: {demo: {models: {}}}", "/runtimes/demo/models"),
        (MODEL.replace("path: p", "paht: p"), "/runtimes/demo/models/tiny/paht"),
        (MODEL.replace("max_side: 256", "max_side: many"), "/limits/max_side"),
        (MODEL.replace("width: 64, ", ""), "/runtimes/demo/models/tiny/defaults/width"),
        (MODEL + "    default_model: nobody\n", "default_model 'nobody'"),
        (MODEL + "    type: onnx\n", "/runtimes/demo/type"),
        (MODEL + "    replicas: {admit_window: 1}\n", "/runtimes/demo/replicas/admit_window"),
    ],
)
def test_a_catalogue_that_cannot_be_used_names_the_entry(text, named):
    """Whoever wrote it finds the line."""
    with pytest.raises(InvalidCatalogue) as refused:
        Catalogue.from_yaml(text)
    assert named in str(refused.value)


def test_the_smallest_catalogue_is_complete():
    """All else has a default."""
    catalogue = Catalogue.from_yaml(MODEL)
    assert catalogue.model("demo", "tiny").tasks == tuple(Task)
    assert catalogue.route(None, None) == ("demo", "tiny")


def test_the_sample_picture_is_a_png():
    """Made without an image library, read by one."""
    with Image.open(io.BytesIO(base64.b64decode(sample_png(64, (30, 60, 200))))) as image:
        assert (image.size, image.mode, image.getpixel((63, 63))) == (
            (64, 64),
            "RGB",
            (30, 60, 200),
        )
