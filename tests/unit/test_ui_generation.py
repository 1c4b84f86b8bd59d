"""One job from the click to the picture, against a stand-in API over real HTTP."""

from collections.abc import Iterator

import pytest

from client import Client
from gradio_ui.generation import generate
from gradio_ui.status import Tone
from gradio_ui.testing import POISON, FakeApi
from jobs.samples import sample_request


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """The stand-in."""
    with FakeApi() as api:
        yield api


@pytest.fixture
def client(api: FakeApi) -> Iterator[Client]:
    """A connection to it."""
    with Client(api.url) as client:
        yield client


def test_a_job_is_seen_in_each_state_and_ends_with_its_pictures(client: Client):
    """Queued, starting, a step, done; the pictures have bytes and consecutive seeds."""
    moments = [*generate(client, sample_request(num_images_per_prompt=2, seed=41))]
    texts = [moment.line.text for moment in moments]
    for text in ("Sending", "Queued", "Starting: waiting for a replica", "Step 2 of 4"):
        assert text in texts
    last = moments[-1]
    assert last.line.tone is Tone.DONE
    assert f"job {last.uid}" in last.line.details
    assert any("denoise 2.46 s" in detail for detail in last.line.details)
    assert [picture.seed for picture in last.pictures] == [41, 42]
    assert all(picture.data.startswith(b"\x89PNG") for picture in last.pictures)


def test_a_refused_job_shows_the_problem_and_each_fault(client: Client):
    """By the names that the page has for its fields."""
    *_, last = generate(client, sample_request(prompt="", num_inference_steps=4000))
    assert last.line.tone is Tone.FAILED
    assert last.uid is None
    assert any(detail.startswith("Prompt: ") for detail in last.line.details)
    assert any(detail.startswith("Num inference steps: ") for detail in last.line.details)


def test_a_failed_job_shows_why(client: Client):
    """With the sentence that the outcome has."""
    *_, last = generate(client, sample_request(prompt=POISON))
    assert last.line.tone is Tone.FAILED
    assert last.line.text == "Failed: the replica ran out of memory"


def test_a_canceled_job_ends_as_stopped(client: Client):
    """The page goes on watching until the API says so."""
    moments = generate(client, sample_request())
    uid = next(moment.uid for moment in moments if moment.uid)
    client.cancel(uid)
    *_, last = moments
    assert last.line.tone is Tone.STOPPED
    assert not last.pictures


def test_an_api_that_does_not_answer_is_said_to_be_so():
    """One sentence instead of a traceback."""
    with Client("http://127.0.0.1:9") as client:
        *_, last = generate(client, sample_request())
    assert last.line.tone is Tone.FAILED
    assert "does not answer" in last.line.text


def test_an_api_that_is_lost_while_watching_leaves_the_uid(api: FakeApi, client: Client):
    """The job goes on, and its name is what leads back to it."""
    moments = generate(client, sample_request())
    uid = next(moment.uid for moment in moments if moment.uid)
    api.vanish()
    *_, last = moments
    assert last.line.tone is Tone.FAILED
    assert last.line.details == (f"job {uid} goes on without this page",)
