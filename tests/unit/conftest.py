"""What unit tests start from: the catalogue of the repository, and jobs that fit it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.catalogue import Catalogue
from jobs.job import Family, Job, JobRequest
from jobs.samples import sample_request
from jobs.uid import new_uid

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The repository's runtimes.yaml."""
    return Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text())


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
