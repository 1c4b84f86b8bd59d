"""What integration tests share."""

from collections.abc import Iterator

import pytest
import torch
from kubernetes import client

from serve_app.engine.engine import Engine, EngineSettings
from tests.integration.crd_server import running_api_server


@pytest.fixture(scope="session")
def api() -> Iterator[client.ApiClient]:
    """A real API server for custom resources, one for all: it takes half a minute to start."""
    with running_api_server() as connected:
        yield connected


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A fresh one for each test, on one thread: plain call and engine add up in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = Engine(EngineSettings(torch_threads=1))
    yield engine
    engine.close()
    torch.set_num_threads(threads)
