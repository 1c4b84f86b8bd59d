"""What the tests of jobs, records, api and client share: a catalogue, an API over the fakes."""

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from bridge_bench import bench, fast_ticks  # noqa: F401  # fixtures of the bridge's tests
from fastapi.testclient import TestClient

from api.app import create_app
from api.backend import Backend
from client import Client
from jobs.catalogue import Catalogue
from jobs.inputs import TextToImage
from jobs.job import Family, Job, JobRequest
from jobs.samples import sample_request
from jobs.uid import new_uid
from records.keys import KeyRing
from records.memory import MemoryQueue, MemoryStore, MemoryTable, MemoryTopic

#: When everything happens.
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def _model(**changed):
    return {
        "path": "tiny",
        "defaults": {"width": 64, "height": 64, "num_inference_steps": 20, "guidance_scale": 5.0},
        "limits": {"max_side": 256, "max_pixels": 32768, "max_num_inference_steps": 50},
        "schedulers": ["EulerDiscreteScheduler", "PNDMScheduler"],
        **changed,
    }


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Two runtimes with two models each."""
    large = _model(
        tasks=["text-to-image"],
        defaults={"width": 64, "height": 256, "num_inference_steps": 20, "guidance_scale": 5.0},
    )
    return Catalogue.model_validate(
        {
            "runtimes": {
                "demo": {"default_model": "tiny", "models": {"large": large, "tiny": _model()}},
                "other": {"models": {"second": _model(), "third": _model()}},
            }
        }
    )


@pytest.fixture
def queue():
    """The queue of the runtime `demo`."""
    return MemoryQueue()


@pytest.fixture
def inbox():
    """A subscriber's queue of notices."""
    return MemoryQueue()


@pytest.fixture
def backend(catalogue, queue, inbox) -> Backend:
    """What the API works on, in memory; everybody is let in."""
    return Backend(
        table=MemoryTable(),
        store=MemoryStore(),
        jobs=MemoryTopic([(queue, {"runtime": ["demo"]})]),
        notices=MemoryTopic([(inbox, {})]),
        catalogue=catalogue,
        keys=KeyRing({}),
        queue_retention_s=1000,
        url_expires_s=600,
        clock=lambda: NOW,
    )


@pytest.fixture
def serve():
    """A function that gives an HTTP client of the API over a backend."""

    def served(backend, *, raises=False, **headers):
        return TestClient(create_app(backend), raise_server_exceptions=raises, headers=headers)

    return served


@pytest.fixture
def api(backend, serve):
    """An HTTP client of the API."""
    return serve(backend)


@pytest.fixture
def make_job(catalogue: Catalogue) -> Callable[..., Job]:
    """A new accepted job; arguments replace fields of the request."""

    def make(**changed: object) -> Job:
        request = JobRequest.model_validate({**sample_request(), **changed})
        return Job.of_request(
            request,
            uid=new_uid(),
            tenant="default",
            family=Family.V1,
            catalogue=catalogue,
            now=datetime.now(UTC),
        )

    return make


@pytest.fixture
def answering():
    """A function that gives a client whose requests a handler answers."""

    def answered(handler, **more):
        return Client("http://api.test", transport=httpx.MockTransport(handler), **more)

    return answered


@pytest.fixture
def new_job():
    """A function that makes a job; `id` is the client's."""

    def made(**changed):
        uid = new_uid()
        job = Job(
            uid=uid,
            id=uid,
            runtime="demo",
            model="tiny",
            input=TextToImage(prompt="a lighthouse"),
            prefix="default",
            created_at=NOW,
        )
        return job.model_copy(update=changed)

    return made
